"""Mail templates: variables, checks, rendering."""
