"""What SASL says: the vectors of the standards and of the providers, and which mechanism is taken when."""

from __future__ import annotations

import base64

import pytest

from cgcore.mail.sign_in import (
    AccessToken,
    Credential,
    Password,
    build_exchange,
    cram_md5,
    login,
    mechanisms_to_try,
    oauthbearer,
    plain,
    xoauth2,
)
from cgcore.vault.secret import Secret

PASSWORD = Password(Secret("tanstaaftanstaaf"))
TOKEN = AccessToken(Secret("abc123"))


def _base64(message: bytes) -> str:
    return base64.b64encode(message).decode()


def test_plain_is_the_message_of_rfc_4616() -> None:
    """The example of RFC 2595 §6, and letters beyond ASCII in UTF-8."""
    assert _base64(plain("tim", "tanstaaftanstaaf")) == "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"
    assert plain("josé", "ñ€") == b"\0jos\xc3\xa9\0\xc3\xb1\xe2\x82\xac"


def test_login_answers_each_prompt_apart() -> None:
    """The user name to the first, the password to the second."""
    assert login("tim", "tanstaaf") == (b"tim", b"tanstaaf")


def test_cram_md5_is_the_example_of_rfc_2195() -> None:
    """§2: the challenge of postoffice.reston.mci.net."""
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"

    assert cram_md5("tim", "tanstaaftanstaaf", challenge) == b"tim b913a602c7eda7a495b4e6e7334d3890"


@pytest.mark.parametrize(
    ("user", "token", "encoded"),
    [
        ("ana@example.com", "abc123", "dXNlcj1hbmFAZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgYWJjMTIzAQE="),
        (
            "someuser@example.com",
            "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg",
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZ"
            "Mjl0Q2cBAQ==",
        ),
    ],
)
def test_xoauth2_is_the_message_of_the_providers(user: str, token: str, encoded: str) -> None:
    """The second is the example of Google's page."""
    assert _base64(xoauth2(user, token)) == encoded


def test_oauthbearer_is_the_example_of_rfc_7628() -> None:
    """§4.1, and the escapes of RFC 5801 in a name."""
    message = oauthbearer("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "server.example.com", 143)

    assert _base64(message) == (
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52"
        "YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )
    assert oauthbearer("a=b,c@x", "t", "h", 1).startswith(b"n,a=a=3Db=2Cc@x,\1host=h\1port=1\1")


@pytest.mark.parametrize(
    ("credential", "announced", "login_command", "names"),
    [
        (PASSWORD, ["LOGIN", "PLAIN", "XOAUTH2"], False, ["PLAIN", "LOGIN"]),
        (PASSWORD, ["CRAM-MD5"], False, ["CRAM-MD5"]),
        (PASSWORD, ["CRAM-MD5"], True, ["CRAM-MD5", "LOGIN"]),
        (PASSWORD, ["CRAM-MD5", "LOGIN", "PLAIN"], True, ["PLAIN", "LOGIN", "CRAM-MD5"]),
        (PASSWORD, [], True, ["LOGIN"]),
        (PASSWORD, ["XOAUTH2", "SCRAM-SHA-256"], False, []),
        (TOKEN, ["PLAIN", "OAUTHBEARER", "XOAUTH2"], True, ["XOAUTH2", "OAUTHBEARER"]),
        (TOKEN, ["OAUTHBEARER"], False, ["OAUTHBEARER"]),
        (TOKEN, ["PLAIN", "LOGIN"], True, []),
    ],
)
def test_the_mechanism_goes_with_the_credential(
    credential: Credential, announced: list[str], login_command: bool, names: list[str]
) -> None:
    """A token is never sent as a password, nor a password as a token."""
    assert mechanisms_to_try(credential, announced, login_command=login_command) == names


def test_a_password_goes_out_once() -> None:
    """A second challenge is cancelled."""
    exchange = build_exchange("PLAIN", "ana", PASSWORD, host="mail.test", port=587)
    first = exchange.answer(b"")

    assert first == exchange.opening == b"\0ana\0tanstaaftanstaaf"
    assert exchange.answer(b"once more") is None


@pytest.mark.parametrize(("mechanism", "answer"), [("XOAUTH2", b""), ("OAUTHBEARER", b"\1")])
def test_the_refusal_of_a_token_is_answered_and_kept(mechanism: str, answer: bytes) -> None:
    """Never cancelled, or the verdict would be about the cancelling (RFC 7628 §3.2.3)."""
    exchange = build_exchange(mechanism, "ana", TOKEN, host="mail.test", port=587)
    exchange.opened()

    assert exchange.answer(b'{"status":"401","scope":"mail","more":{"a":1}}') == answer
    assert exchange.refusal == {"status": "401", "scope": "mail"}
    assert exchange.answer(b"no JSON") == answer
    assert exchange.refusal == {"status": "401", "scope": "mail"}
