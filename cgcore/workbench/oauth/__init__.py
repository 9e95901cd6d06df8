"""OAuth2: administrators register clients, people connect their mailbox, who signs in at a mail server takes a token.

Called by pages, API, command line, probes and outbox, as ``workbench.oauth.clients``, ``.attempts`` and ``.grants``.
Begin with :mod:`cgcore.workbench.oauth.attempts`: the way to the provider and back.
"""
