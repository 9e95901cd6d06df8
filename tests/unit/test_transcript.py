"""Server words made fit to be shown: no secret in any form, no control character, no flood."""

from __future__ import annotations

import base64
import json
import quopri
from collections.abc import Callable
from html import escape
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cgcore.mail.steps import Leg, Stage
from cgcore.mail.transcript import MAX_REPLY, Scrubber, Trace, clean_reply, format_transcript
from cgcore.runs import Status, Step
from cgcore.vault.secret import Secret

SECRET = 'S3cr3t-ñ €/+="\\'


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "travelling",
    [
        SECRET,
        SECRET.upper(),
        _b64(SECRET.encode()),
        _b64(f"\0ana@ejemplo.es\0{SECRET}".encode()),
        _b64(f"ana@ejemplo.es\0ana@ejemplo.es\0{SECRET}".encode()),
        _b64(f"x\0{SECRET}".encode()),
        _b64(f"user=ana\x01auth=Bearer {SECRET}\x01\x01".encode()),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET),
        SECRET.replace("\\", "\\\\").replace('"', '\\"'),
        SECRET.encode().hex(),
        base64.urlsafe_b64encode(b"???" + SECRET.encode()).decode(),
        escape(SECRET),
        quopri.encodestring(SECRET.encode(), quotetabs=True).decode(),
        SECRET.encode().decode("latin-1"),
    ],
)
def test_no_form_of_the_secret_survives(travelling: str) -> None:
    """Whatever the server echoes, in clear or encoded, alone or in the middle of a longer token."""
    shown = Scrubber([Secret(SECRET)]).reply(f"535 no to {travelling} today")

    assert "[…]" in shown
    assert "S3cr3t" not in shown
    for offset in range(3):
        core = _b64(b"\0" * offset + SECRET.encode())[4:12]
        assert core not in shown


@given(st.text(min_size=4, max_size=40).filter(lambda text: text.strip() and text.isprintable()), st.binary(max_size=9))
def test_any_secret_is_found_inside_any_base64(secret: str, before: bytes) -> None:
    """The three ways in which bytes can lie in base64 are all known."""
    token = _b64(before + secret.encode())

    assert Scrubber([Secret(secret)]).text(token) != token


# How a secret travels, or comes back in a reply, a log or a page.
ENCODINGS: dict[str, Callable[[str], str]] = {
    "clear": str,
    "sasl_plain": lambda secret: _b64(f"\0ana@ejemplo.es\0{secret}".encode()),
    "sasl_login": lambda secret: _b64(secret.encode()),
    "xoauth2": lambda secret: _b64(f"user=ana@ejemplo.es\x01auth=Bearer {secret}\x01\x01".encode()),
    "url_base64": lambda secret: base64.urlsafe_b64encode(f"x{secret}".encode()).decode(),
    "hex": lambda secret: secret.encode().hex(),
    "url": quote,
    "url_whole": lambda secret: quote(secret, safe=""),
    "form": quote_plus,
    "json": json.dumps,
    "html": escape,
    "imap_quoted": lambda secret: secret.replace("\\", "\\\\").replace('"', '\\"'),
    "quoted_printable": lambda secret: quopri.encodestring(secret.encode()).decode().replace("=\n", ""),
    "misread": lambda secret: secret.encode().decode("latin-1"),
    "utf16_base64": lambda secret: _b64(secret.encode("utf-16-le")),
}
_SIGNS = st.characters(exclude_categories=("C", "Z")) | st.sampled_from("abzAZ09 &+/=%\\\"'<>ñ€")


def _transcript(secret: str, given_back: str) -> str:
    trace = Trace(Leg.SMTP, secrets=[Secret(secret)])
    step = trace.begin(Stage.AUTH).fail("bad_credentials", f"535 5.7.8 #{given_back}# no", said=f"#{given_back}#")
    return format_transcript([step])


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@settings(max_examples=60)
@example(secret="auth")
@example(secret="5.7.8")
@given(secret=st.text(_SIGNS, min_size=4, max_size=40).filter(lambda text: text == text.strip()))
def test_a_random_secret_is_in_no_transcript_in_any_encoding(encoding: str, secret: str) -> None:
    """A server that gives it back, and whatever of it lands among the details: only «[…]» is left.

    A secret may be a word that the transcript has of its own («auth»): that one stays, the server's does not.
    """
    travelling = ENCODINGS[encoding](secret)
    shown = _transcript(secret, travelling)
    ours = _transcript(secret, "")

    assert "[…]" in shown
    assert shown.count(travelling) == ours.count(travelling)
    assert f"#{secret}#" not in shown


def test_a_secret_of_two_letters_does_not_punch_holes_into_words() -> None:
    """It is hidden where it stands alone."""
    scrubber = Scrubber([Secret("ok")])

    assert scrubber.text("250 Tokyo ok") == "250 Tokyo […]"


def test_without_a_secret_the_text_stays() -> None:
    """An empty password hides nothing."""
    assert Scrubber([None, Secret("")]).text("250 ok") == "250 ok"


def test_secrets_are_taken_out_of_details_too() -> None:
    """A certificate name, a folder name, a capability: all of it is the server's word."""
    scrubbed = Scrubber([Secret("hunter22")]).value({"names": ["x.hunter22.es"], "n": 3, "deep": {"a": ("hunter22",)}})

    assert "hunter22" not in json.dumps(scrubbed)
    assert scrubbed["n"] == 3


def test_what_cannot_be_printed_stands_in_no_detail() -> None:
    """Bytes that are no UTF-8 come from a command line as lone surrogates; a flood is cut."""
    shown = Scrubber([]).value({"detail": "«m\udcffil.es»", "names": ["x" * 100_000] * 1000, "ñ": "€"})

    assert shown["detail"] == "«m?il.es»"
    assert shown["ñ"] == "€"
    assert len(shown["names"]) == 500
    assert len(shown["names"][0]) == MAX_REPLY


def test_control_characters_and_terminal_sequences_fall_away() -> None:
    """What is shown cannot move a cursor, turn text round or break out of its line."""
    assert clean_reply(b"250-\x1b[2Jhello\x00\x07\r\n250 \xe2\x80\xaeevil\xc2\x85") == "250-hello\n250 evil"


def test_invalid_utf8_is_shown_as_such() -> None:
    """Bytes that are no text become replacement characters, never an exception."""
    assert clean_reply(b"554 \xff\xfe no") == "554 �� no"


def test_a_long_reply_is_cut() -> None:
    """A server cannot fill the page."""
    assert len(clean_reply("x" * 1_000_000)) == MAX_REPLY


def test_a_secret_at_the_cut_is_not_half_shown() -> None:
    """Scrubbing comes before cutting."""
    shown = Scrubber([Secret("correct-horse-battery")]).reply("x" * (MAX_REPLY - 8) + " correct-horse-battery tail")

    assert "correct" not in shown


def test_an_exception_with_the_password_in_it_leaves_no_trace_of_it() -> None:
    """UnicodeEncodeError holds what it could not encode: its text is never shown."""
    stage = Trace(Leg.SMTP).begin(Stage.AUTH)
    with pytest.raises(UnicodeEncodeError) as caught:
        "S3cr3t-ñ".encode("ascii")

    assert "S3cr3t" not in json.dumps(stage.broken(caught.value).to_json())


def test_the_transcript_is_text_with_the_server_marked() -> None:
    """One block a step: what happened, what the server said, what was found."""
    step = Step(
        Leg.SMTP, Stage.RCPT_TO, Status.ERROR, 12, "550 5.1.1 no\n550 never", "recipient_unknown",
        patch={"host": "smtp.ejemplo.es"}, details={"recipient": "ana@ejemplo.es", "empty": ""},
    )  # fmt: skip

    assert format_transcript([step]) == (
        "smtp rcpt_to · error · 12 ms · recipient_unknown\n"
        "    < 550 5.1.1 no\n"
        "    < 550 never\n"
        "    recipient: ana@ejemplo.es\n"
        "    + host: smtp.ejemplo.es\n"
    )
