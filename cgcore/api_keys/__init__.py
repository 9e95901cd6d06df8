"""API keys: form, digest, life, and calls; nothing here does I/O."""
