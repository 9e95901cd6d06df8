"""The network under both legs: names, sockets with one deadline, TLS, who speaks first, which targets are allowed.

Nothing here knows an account or a credential. Called by ``connection`` and ``alternatives``; begin with ``sockets``.
"""
