"""What a provider's refusal means: from an error code and its description to a diagnosis key.

Apart from :mod:`cgcore.mail.oauth`, which loads a library: the page that a browser comes back to asks this alone.
Sources: RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core, 3.1.2.6;
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["OAuthFailure", "failure_of"]

_NUMBER = re.compile(r"AADSTS(\d{4,9})")
_TRACE = re.compile(r"Trace ID: ([0-9a-fA-F-]{36})")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")

_KEYS = {
    "oauth_client_wrong": "invalid_client unauthorized_client invalid_scope unsupported_grant_type disabled_client"
    " deleted_client 7000215 7000222 7000218 7000112 700016 50194 70011 500011 650053",
    "oauth_needs_admin": "admin_policy_enforced org_internal consent_required 65001 90094 90093 50105 650052",
    "oauth_denied": "access_denied 65004",
    "oauth_redirect": "redirect_uri_mismatch 50011",
    "oauth_interaction": "interaction_required login_required account_selection_required"
    " 50076 50079 50158 53000 53001 53003 50020",
    "oauth_expired": "invalid_grant 9002313 700082 50173 70000 70008 700084 50089",
    "oauth_unreachable": "server_error temporarily_unavailable slow_down 90033",
}
_KEY_OF = {code: key for key, codes in _KEYS.items() for code in codes.split()}


class OAuthFailure(Exception):
    """A provider that refused, or was not reached: ``key`` of the diagnosis, and ``facts`` that its sentence names.

    ``code`` is the provider's own word, ``trace`` what its support looks a request up by, ``reason`` a word of ours.
    """

    def __init__(self, key: str, facts: Mapping[str, str] | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.facts = dict(facts or {})


def failure_of(error: str, description: str = "", *, status: int = 0) -> OAuthFailure:
    """Return what ``error`` means (RFC 6749, 5.2). Of the description only Microsoft's number and trace are taken.

    Microsoft's number is more exact than the standard's word, which it often shares with others.
    """
    number, trace = _NUMBER.search(description), _TRACE.search(description)
    shown = f"AADSTS{number[1]}" if number else error if _CODE.fullmatch(error) else ""
    facts = {name: value for name, value in {"code": shown, "trace": trace[1] if trace else ""}.items() if value}
    key = (_KEY_OF.get(number[1]) if number else None) or _KEY_OF.get(error)
    if key is None and status:
        facts.setdefault("reason", f"http_{status}")
    return OAuthFailure(key or "oauth_unreachable", facts)
