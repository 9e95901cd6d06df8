"""The addresses of ours that a sign-in at a provider passes through.

Apart from :mod:`cgcore.mail.oauth_client`: the routes are made at every start, long before anybody signs in.
"""

from __future__ import annotations

__all__ = ["CALLBACK", "GO"]

GO, CALLBACK = "/oauth/ir/", "/oauth/vuelta/"
"""Where the link of an attempt leads (its id follows), and where a provider sends the browser back to (its name)."""
