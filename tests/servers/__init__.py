"""Mail servers for tests: real ones (Dovecot, Postfix) and scripted ones that misbehave on order."""
