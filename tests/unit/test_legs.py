"""What both tests say together: the same secret at two servers, and what stands between us and them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cgcore.mail.legs import Inference, compare_legs, inference_text
from cgcore.runs import INTERRUPTED, Cell, Run, Status, Step, Verdict

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SIGNED_IN = Step("", "auth", Status.OK)


def run(key: str = "", stage: str = "auth", **details: Any) -> Run:
    """Return a finished test that came to ``key``, or that passed."""
    last = Step("", stage, Status.ERROR, key=key, details=details) if key else SIGNED_IN
    steps = (last,) if stage in ("tcp", "tls", "greeting", "auth") else (SIGNED_IN, last)
    return Run(1, Cell.SMTP, "x", 1, NOW, steps, Verdict(key or "ok", stage), finished=NOW)


CARD = {"certificate": {"issuer": "Antivirus Root"}}


@pytest.mark.parametrize(
    ("smtp", "imap", "code"),
    [
        (run("bad_credentials"), run(), "only_sending_refused"),
        (run("bad_credentials"), run("folder_missing", "select"), "only_sending_refused"),
        (run(), run("bad_credentials"), "only_mailbox_refused"),
        (run("relay_denied", "rcpt_to"), run("app_password_required"), "only_mailbox_refused"),
        (run("bad_credentials"), run("bad_credentials"), "both_refused"),
        (run("port_filtered", "tcp"), run("port_filtered", "tcp"), "both_unreached"),
        (run("port_filtered", "tcp"), run(), "sending_blocked"),
        (run(), run("port_closed", "tcp"), "mailbox_closed"),
        (run("cert_untrusted_chain", "tls", **CARD), run("cert_untrusted_chain", "tls", **CARD), "both_intercepted"),
    ],
)
def test_two_tests_tell_more_than_one(smtp: Run, imap: Run, code: str) -> None:
    """Each pair has its sentence, without a brace in it."""
    found = compare_legs(smtp, imap)

    assert found is not None
    assert found.code == code
    assert "{" not in inference_text(found)


OTHER = {"certificate": {"issuer": "Hoster CA"}}


@pytest.mark.parametrize(
    ("smtp", "imap"),
    [
        (run(), run()),
        (run("bad_credentials"), None),
        (None, run("bad_credentials")),
        (run("bad_credentials"), run("port_closed", "tcp")),
        (run("account_locked"), run()),
        (run("cert_untrusted_chain", "tls", **CARD), run("cert_untrusted_chain", "tls", **OTHER)),
        (run("cert_untrusted_chain", "tls"), run("cert_untrusted_chain", "tls")),
        (run("bad_credentials"), replace(run(), verdict=Verdict(INTERRUPTED))),
    ],
)
def test_what_follows_from_one_of_them_alone_is_not_said_again(smtp: Run | None, imap: Run | None) -> None:
    """Nor anything of a test that proves nothing, or of two certificates that strangers signed."""
    assert compare_legs(smtp, imap) is None


def test_who_signs_both_certificates_is_named() -> None:
    """An antivirus or a firewall that opens encrypted mail puts its own name there."""
    step = "cert_untrusted_chain", "tls"

    assert compare_legs(run(*step, **CARD), run(*step, **CARD)) == Inference(
        "both_intercepted", {"issuer": "Antivirus Root"}
    )
