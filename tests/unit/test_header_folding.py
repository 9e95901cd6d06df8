"""Headers are written as they were given: nothing in them is decoded, and nothing is lost."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from cgcore.mail.message import build_message


@pytest.mark.parametrize("text", ["=?utf-8?q?a=0D=0ABcc:_x@y.es?=", "=?utf-8?b?YQ0KQmNjOiB4QHkuZXM=?="])
def test_an_encoded_word_that_was_typed_brings_no_header(text: str) -> None:
    """What looks encoded in a subject or a name is text: the line breaks inside it never reach the message."""
    raw = build_message(
        sender="a@b.es", sender_name=text, recipients=["c@d.es"], subject=text, text="x", html="<p>x</p>"
    ).as_bytes()
    head = raw.split(b"\r\n\r\n", 1)[0]

    assert b"\nBcc" not in head
    assert message_from_bytes(raw, policy=policy.default)["Bcc"] is None


@pytest.mark.parametrize("subject", ["Factura 0042", "Peña & Hijos, «S.L.»", "Año " * 60, "a" * 200])
def test_a_subject_comes_back_as_it_was(subject: str) -> None:
    """Plain, accented, long: the reader sees the same text, in lines that every server takes."""
    raw = build_message(sender="a@b.es", recipients=["c@d.es"], subject=subject, text="x", html="<p>x</p>").as_bytes()
    head = raw.split(b"\r\n\r\n", 1)[0]

    assert " ".join(str(message_from_bytes(raw, policy=policy.default)["Subject"]).split()) == subject.strip()
    assert max(len(line) for line in head.split(b"\r\n")) <= 78
