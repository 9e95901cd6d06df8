"""The configuration as one readable file without secrets: its form, its checks, and the changes an import makes."""
