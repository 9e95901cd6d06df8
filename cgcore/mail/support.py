"""«Mensaje para tu proveedor»: what its support needs to know of a test that failed, in Spanish or in English.

It stands alone because it is written for somebody else: not in the language of the person, and with codes instead of
our explanations. The steps are free of secrets when they are stored; nothing else of the account goes in but its user.
"""

from __future__ import annotations

import re
from datetime import UTC

from cgcore.mail.account import ServerDraft
from cgcore.mail.transcript import format_transcript
from cgcore.runs import Run, deciding_step
from cgcore.texts import lookup, sentence

__all__ = ["SUPPORT_LANGUAGES", "support_message"]

#: The languages that a message can be had in, as the person may choose.
SUPPORT_LANGUAGES = ("es", "en")
_OUR_ADDRESS = re.compile(r"[\[(]((?:\d{1,3}\.){3}\d{1,3}|(?:IPv6:)?[0-9a-fA-F:]{6,39})[\])]")


def support_message(run: Run, server: ServerDraft, user: str, language: str) -> str:
    """Return subject and text of the message about a run that failed; an unknown language is a ``KeyError``.

    What was tried, when (UTC), from which address where the server has told it, its own words, and the whole record.
    """
    step = deciding_step(run.steps)
    moment = run.started.astimezone(UTC).isoformat(" ", "seconds").replace("+00:00", " UTC")
    values = {
        "host": server.host.strip(),
        "port": str(server.port).strip(),
        "security": server.security.value.upper(),
        "user": user,
        "moment": moment,
        "address": _our_address(run),
        "stage": step.stage if step else "",
        "key": step.key if step else "",
    }
    lines = [
        sentence("cgcore.mail", f"support.{language}.{name}", **values)
        for name in lookup("cgcore.mail", f"support.{language}")
        if name not in ("words", "record") and (name != "address" or values["address"])
    ]
    if step and step.reply:
        lines += ["", sentence("cgcore.mail", f"support.{language}.words"), *_indented(step.reply)]
    lines += ["", sentence("cgcore.mail", f"support.{language}.record"), *_indented(format_transcript(run.steps))]
    return "\n".join(lines) + "\n"


def _our_address(run: Run) -> str:
    """Return the address that the server sees us under, where its answer to EHLO says so (RFC 5321 §4.1.1.1)."""
    for step in run.steps:
        if step.stage in ("ehlo", "ehlo_tls") and (
            found := _OUR_ADDRESS.search(step.reply.splitlines()[0] if step.reply else "")
        ):
            return found[1].removeprefix("IPv6:")
    return ""


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
