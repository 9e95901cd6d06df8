"""What replies of servers and exceptions of libraries are taken for."""

from __future__ import annotations

import errno
import imaplib
import smtplib
import socket
import ssl
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.mail.diagnosis.catalogue import diagnosis_keys
from cgcore.mail.diagnosis.diagnose import diagnose_exception, diagnose_reply, explain_reply
from cgcore.mail.diagnosis.rules import load_rules
from cgcore.mail.steps import Leg, Stage

DATA = Path(__file__).parents[1] / "data"
RULE_FILES = list((Path(__file__).parents[2] / "cgcore" / "mail" / "diagnosis").glob("*.toml"))


def rows(name: str) -> list[dict[str, Any]]:
    return tomllib.loads((DATA / name).read_text("utf-8"))["reply"]


@pytest.mark.parametrize(
    "name",
    [
        "server_replies.toml",
        "replies_more.toml",
        "replies_by_class.toml",
        "replies_first_sight.toml",
        "replies_unseen.toml",
    ],
)
def test_every_collected_reply_gets_its_key(name: str) -> None:
    """Each row gets its key, or one of those that are just as right."""
    wrong = [
        (row["text"], row["key"], found)
        for row in rows(name)
        if (found := diagnose_reply(row["protocol"], row["stage"], row["text"], provider=row["provider"]).key)
        not in (row["key"], *row.get("also", ()))
    ]

    assert wrong == []


def test_every_key_is_told_by_at_least_two_texts() -> None:
    """A key that no text leads to could not be explained to anybody."""
    names = ("server_replies.toml", "replies_more.toml", "replies_by_class.toml")
    told = Counter(key for key, _ in {(row["key"], row["text"]) for name in names for row in rows(name)})

    assert {key: told[key] for key in diagnosis_keys() if told[key] < 2} == {}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("getaddrinfo ENOTFOUND smtp.empresa.example", "No existe el servidor «smtp.empresa.example»"),
        ("connect ECONNREFUSED smtp.empresa.example:587", "smtp.empresa.example no atiende en el puerto 587"),
        ("552 5.3.4 Message size exceeds fixed limit 26214400", "El mensaje es demasiado grande (máximo 25 MB)"),
        (
            "certificate verify failed: Host: mail.empresa.example. altnames: DNS:a.example, DNS:b.example",
            "El certificado es de a.example y b.example, no de mail.empresa.example",
        ),
        (
            "certificate has expired for imap.empresa.example, notAfter=Mar  3 10:00:00 2026 GMT",
            "El certificado de imap.empresa.example caducó el 03/03/2026",
        ),
    ],
)
def test_an_explained_text_lends_its_own_values_to_the_sentence(text: str, title: str) -> None:
    """Host, port, limit, names and day are those that the text names."""
    assert explain_reply(text).title == title


@pytest.mark.parametrize("name", ["socket.gaierror: [Errno -2] Name or service not known", "ConnectionRefusedError"])
def test_the_class_of_an_exception_is_no_server(name: str) -> None:
    """A module with a dot in it looks like a host name."""
    assert "gaierror" not in explain_reply(name).title


@pytest.mark.parametrize(
    ("stage", "text", "key"),
    [
        ("auth", "535 5.7.8 Authentication failed", "bad_credentials"),
        ("mail_from", "535 5.7.8 Authentication required", "auth_required"),
        ("mail_from", "550 Rejected", "sender_not_allowed"),
        ("rcpt_to", "550 Rejected", "recipient_unknown"),
        ("final", "550 Rejected", "content_rejected"),
        ("greeting", "550 Rejected", "ip_blocklisted"),
        ("rcpt_to", "552 5.2.2 Mailbox full", "recipient_full"),
        ("mail_from", "552 5.2.2 Mailbox full", "mailbox_full"),
        ("mail_from", "552 5.3.4 Message size exceeds fixed limit", "message_too_big"),
        ("auth", "502 5.5.1 Command not implemented", "auth_not_offered"),
        ("starttls", "502 5.5.1 Command not implemented", "starttls_not_offered"),
        ("data", "502 5.5.1 Command not implemented", "protocol_error"),
        ("auth", "526 Xyzzy", "bad_credentials"),
        ("mail_from", "526 Xyzzy", "sender_not_allowed"),
        ("rcpt_to", "526 Xyzzy", "recipient_unknown"),
        ("final", "526 Xyzzy", "content_rejected"),
        ("rcpt_to", "426 Xyzzy", "temporary_failure"),
        ("mail_from", "550 5.2.1 <a@b.example>: Account disabled", "account_locked"),
        ("rcpt_to", "550 5.2.1 <a@b.example>: Account disabled", "recipient_unknown"),
        ("rcpt_to", "450 Mailbox unavailable", "temporary_failure"),
        ("rcpt_to", "550 Mailbox unavailable", "recipient_unknown"),
    ],
)
def test_the_same_words_mean_something_else_at_another_stage(stage: str, text: str, key: str) -> None:
    """The stage decides between keys where the words leave it open."""
    assert diagnose_reply("smtp", stage, text).key == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("535 5.7.139 Authentication unsuccessful, account locked.", "account_locked"),
        ("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", "bad_credentials"),
        ("535 5.7.8 Please use an app password.", "app_password_required"),
        ("535 5.7.8 Too many failed login attempts", "too_many_attempts"),
        ("535 5.7.8 Must issue a STARTTLS command first", "encryption_required"),
    ],
)
def test_a_number_never_beats_words(text: str, key: str) -> None:
    """The same code with other words is another diagnosis."""
    assert diagnose_reply("smtp", "auth", text).key == key


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        ("", "bad_credentials"),
        ("gmail", "bad_credentials"),
        ("zoho_eu", "bad_credentials"),
        ("yahoo", "app_password_required"),
        ("icloud", "app_password_required"),
    ],
)
def test_a_plain_refusal_is_read_by_what_the_provider_takes_as_password(provider: str, key: str) -> None:
    """Providers that take only app passwords mean one; those that say so themselves do not."""
    assert diagnose_reply("smtp", "auth", "535 5.7.8 Error: authentication failed", provider=provider).key == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("554 5.7.1 Relay access denied, authentication required", "relay_denied"),
        ("550 5.7.1 Daily SMTP relay limit exceeded", "sending_quota"),
        ("553 Relaying disallowed as ventas@empresa.example", "sender_not_allowed"),
        ("530 5.7.1 Authentication required", "auth_required"),
    ],
)
def test_relay_in_a_refusal_is_told_from_its_neighbours(text: str, key: str) -> None:
    """Relay means relay_denied, unless it is a limit or an address that may not."""
    assert diagnose_reply("smtp", "rcpt_to", text).key == key


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ("rcpt_to", "550 5.1.1 <relay@quota.example>: User unknown"),
        ("rcpt_to", "550 5.1.1 <spam.greylist@blocked.example>... User unknown"),
        ("rcpt_to", "550 No such user at relay.dkim.example"),
    ],
)
def test_words_inside_an_address_or_a_host_name_do_not_count(stage: str, text: str) -> None:
    """What stands inside a name is a name."""
    assert diagnose_reply("smtp", stage, text).key == "recipient_unknown"


def test_a_challenge_that_refuses_a_token_is_decoded() -> None:
    """The JSON behind 334 or + means that the token was refused; a prompt for the user name does not."""
    refusal = "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ=="

    assert diagnose_reply("smtp", "auth", f"334 {refusal}").key == "token_rejected"
    assert diagnose_reply("imap", "auth", f"+ {refusal}").key == "token_rejected"
    assert diagnose_reply("smtp", "auth", "334 VXNlcm5hbWU6VXNlcm5h").key != "token_rejected"


def test_of_a_traceback_the_last_exception_counts() -> None:
    """Users paste the whole of it."""
    text = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in b\nTimeoutError: timed out\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "a.py", line 2, in c\n'
        "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Error: authentication failed')\n"
    )

    assert diagnose_reply("library", "auth", text).key == "bad_credentials"


EXCEPTIONS: list[tuple[BaseException, str, str]] = [
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "dns", "host_not_found"),
    (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "dns", "dns_temporary"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "tcp", "port_closed"),
    (TimeoutError("timed out"), "tcp", "port_filtered"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), "tcp", "port_filtered"),
    (TimeoutError("timed out"), "greeting", "server_silent"),
    (TimeoutError("timed out"), "final", "delivery_unknown"),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "auth", "connection_dropped"),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "final", "delivery_unknown"),
    (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "tls", "connection_dropped"),
    (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "greeting", "connection_dropped"),
    (smtplib.SMTPServerDisconnected("Connection unexpectedly closed: timed out"), "greeting", "server_silent"),
    (smtplib.SMTPConnectError(554, b"5.7.1 blocked using zen.spamhaus.org"), "greeting", "ip_blocklisted"),
    (smtplib.SMTPConnectError(-1, b"/1.1 400 Bad Request"), "greeting", "host_is_website"),
    (smtplib.SMTPConnectError(-1, b"[CAPABILITY IMAP4rev1] Dovecot ready."), "greeting", "wrong_protocol"),
    (smtplib.SMTPAuthenticationError(535, b"5.7.8 authentication failed"), "auth", "bad_credentials"),
    (smtplib.SMTPSenderRefused(530, b"5.7.0 Authentication required", "a@b.example"), "mail_from", "auth_required"),
    (smtplib.SMTPRecipientsRefused({"a@b.example": (554, b"Relay access denied")}), "rcpt_to", "relay_denied"),
    (smtplib.SMTPDataError(550, b"5.7.1 Spam message rejected"), "final", "content_rejected"),
    (smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server."), "starttls", "starttls_not_offered"),
    (smtplib.SMTPNotSupportedError("SMTP AUTH extension not supported by server."), "auth", "auth_not_offered"),
    (smtplib.SMTPException("No suitable authentication method found."), "auth", "oauth_only"),
    (imaplib.IMAP4.abort("socket error: EOF"), "list", "connection_dropped"),
    (imaplib.IMAP4.readonly("mailbox status changed to READ-ONLY"), "select", "folder_not_writable"),
    (imaplib.IMAP4.error(b"[AUTHENTICATIONFAILED] Authentication failed."), "auth", "bad_credentials"),
    (UnicodeEncodeError("ascii", "ñ", 0, 1, "ordinal not in range(128)"), "auth", "credentials_charset"),
    (UnicodeError("label empty or too long"), "dns", "invalid_input"),
]


@pytest.mark.parametrize(
    ("error", "stage", "key"), EXCEPTIONS, ids=lambda value: getattr(value, "args", value) and None
)
def test_an_exception_is_read_by_its_class_and_attributes(error: BaseException, stage: str, key: str) -> None:
    """The nearest class decides: every smtplib error is an OSError too."""
    leg = Leg.IMAP if type(error).__module__ == "imaplib" else Leg.SMTP

    assert diagnose_exception(error, leg, Stage(stage)).key == key


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (10, "cert_expired"),
        (18, "cert_self_signed"),
        (19, "cert_untrusted_chain"),
        (20, "cert_untrusted_chain"),
        (62, "cert_wrong_name"),
        (64, "cert_wrong_name"),
        (85, "cert_untrusted_chain"),
    ],
)
def test_a_certificate_error_is_read_by_its_verification_code(code: int, key: str) -> None:
    """The number decides, not the text, which changes with the library's version."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code

    assert diagnose_exception(error, Leg.SMTP, Stage.TLS).key == key


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("WRONG_VERSION_NUMBER", "ssl_on_starttls_port"),
        ("RECORD_LAYER_FAILURE", "ssl_on_starttls_port"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tls_obsolete"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "tls_obsolete"),
        ("DH_KEY_TOO_SMALL", "tls_obsolete"),
    ],
)
def test_a_tls_error_is_read_by_its_reason(reason: str, key: str) -> None:
    """Plain text in place of TLS is told from TLS that is too old."""
    error = ssl.SSLError(1, "failed")
    error.reason = reason

    assert diagnose_exception(error, Leg.IMAP, Stage.TLS).key == key


def test_every_exception_class_of_the_libraries_has_a_meaning() -> None:
    """A class that a new version of a library brings would be unclassified here."""
    classes = [value for value in vars(smtplib).values() if isinstance(value, type) and issubclass(value, OSError)]
    classes += [imaplib.IMAP4.error, imaplib.IMAP4.abort, imaplib.IMAP4.readonly]
    made = [_make(cls) for cls in classes]

    unknown = [type(error) for error in made if diagnose_exception(error, Leg.SMTP, Stage.AUTH).key == "unclassified"]

    assert len(made) >= 10
    assert unknown == []


def _make(cls: type[BaseException]) -> BaseException:
    if issubclass(cls, smtplib.SMTPSenderRefused):
        return cls(550, b"no", "a@b.example")
    if issubclass(cls, smtplib.SMTPRecipientsRefused):
        return cls({"a@b.example": (550, b"no")})
    if issubclass(cls, smtplib.SMTPResponseException):
        return cls(535, b"no")
    return cls("authentication failed")


class Telltale(UnicodeEncodeError):
    """An encoding error whose text may not be read: it holds user and password."""

    def __str__(self) -> str:
        raise AssertionError("the text of an encoding error was read")


def test_the_text_of_an_encoding_error_is_never_read() -> None:
    """Its arguments hold the password in clear."""
    error = Telltale("ascii", "S3cr3t-ñ", 7, 8, "ordinal not in range(128)")

    found = diagnose_exception(error, Leg.SMTP, Stage.AUTH)

    assert found.key == "credentials_charset"
    assert "S3cr3t" not in repr(found)


@given(
    st.sampled_from(["smtp", "imap", "library"]),
    st.sampled_from(["", *Stage]),
    st.one_of(
        st.text(max_size=300), st.from_regex(r"[45]\d\d[ -][245]\.\d\.\d{1,3} [a-zA-Z <>@.:]{0,80}", fullmatch=True)
    ),
)
def test_any_text_gets_some_key(protocol: str, stage: str, text: str) -> None:
    """Whatever a server says, the answer is a key of the table and never an error."""
    assert diagnose_reply(protocol, stage, text).key in diagnosis_keys()


def test_words_that_nobody_knows_are_unclassified() -> None:
    """No rule is so wide that it takes nonsense."""
    assert diagnose_reply("smtp", "", "599 Xyzzy plugh").key == "unclassified"
    assert diagnose_reply("imap", "list", "NO Xyzzy plugh").key == "unclassified"
    assert diagnose_reply("library", "tls", "XyzzyError: plugh").key == "unclassified"


@pytest.mark.parametrize("name", sorted(path.stem for path in RULE_FILES))
def test_every_rule_names_a_key_and_known_stages(name: str) -> None:
    """A slip in a rule file would make a rule that never fits."""
    for rule in load_rules(name):
        assert rule.key in diagnosis_keys()
        assert rule.words
        assert rule.stages <= {stage.value for stage in Stage}, rule.key
        assert rule.protocols <= {"smtp", "imap", "library"}, rule.key
        # An open gap would cost a hostile text's length squared and more.
        assert not any("]*" in one.pattern or ".*" in one.pattern for one in (*rule.words, *rule.also, *rule.unless))


def test_the_sample_of_replies_is_the_one_of_the_sources() -> None:
    """Each row that was read in a source or at a vendor's gets its key: no row was left out of the file."""
    sourced = [row for row in rows("server_replies.toml") if row.get("certainty") == "source"]
    right = [
        row
        for row in sourced
        if diagnose_reply(row["protocol"], row["stage"], row["text"], provider=row["provider"]).key == row["key"]
    ]

    assert len(sourced) > 100
    assert len(right) == len(sourced)
