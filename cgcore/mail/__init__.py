"""Mail: account, probes, diagnosis, messages, sending."""
