"""Document series, their defaults and their guards."""
