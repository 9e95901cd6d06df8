"""Discovery: from a mail address to proven servers.

Called by the facade, the command line and the API; no password is ever near here. Begin with ``discover``.
"""
