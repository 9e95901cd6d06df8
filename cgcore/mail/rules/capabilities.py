"""What is missing from the capabilities that a server announces, even where everything else went well."""

from __future__ import annotations

import re

from cgcore.mail.steps import Stage

__all__ = ["key_of_capabilities"]

_TOKEN_ONLY = frozenset({"XOAUTH2", "OAUTHBEARER"})


def key_of_capabilities(text: str, stage: str) -> str:
    """Return the key of what an answer to EHLO lacks, ``""`` when it lacks nothing or is no such answer (RFC 4954).

    Before encryption nothing is missing as long as STARTTLS is offered: signing in comes after it.
    """
    lines = [re.sub(r"^250[ -]", "", line).strip().upper() for line in text.splitlines()]
    if len(lines) < 2 or stage not in (Stage.EHLO, Stage.EHLO_TLS, Stage.STARTTLS):
        return ""
    if stage == Stage.STARTTLS:
        return "" if "STARTTLS" in lines else "starttls_not_offered"
    if stage == Stage.EHLO and "STARTTLS" in lines:
        return ""
    offered = {word for line in lines if line.startswith(("AUTH ", "AUTH=")) for word in line[5:].split()}
    if not offered:
        return "auth_not_offered"
    return "oauth_only" if offered <= _TOKEN_ONLY else ""
