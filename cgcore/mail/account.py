"""The mail account: what is typed, its checks, and what of it is stored and may be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from cgcore.errors import FieldProblem
from cgcore.mail import account_texts
from cgcore.mail.addresses import check_host, is_address
from cgcore.mail.sender import SenderDraft, check_sender
from cgcore.mail.steps import Leg
from cgcore.text_rules import MAX_FOLDER, MAX_LOGIN, MAX_PIN, find_text_problem, is_storable, trimmed, visible
from cgcore.vault.secret import Secret

__all__ = [
    "AccessToken",
    "AuthKind",
    "Credential",
    "LoginNames",
    "MailAccountDraft",
    "Password",
    "Security",
    "ServerDraft",
    "StoredAccount",
    "account_from_json",
    "account_to_json",
    "changed_targets",
    "check_account",
    "check_folder",
    "check_password",
    "check_pin",
    "check_port",
    "check_server",
    "default_port",
    "expected_security",
    "list_password_uses",
    "normal_pin",
    "password_bond",
]


class Security(StrEnum):
    """How a connection is encrypted; the values are those of command line, API."""

    NONE = "none"
    SSL = "ssl"
    STARTTLS = "starttls"
    SSL_PINNED = "ssl-pinned"
    STARTTLS_PINNED = "starttls-pinned"

    @property
    def encrypted(self) -> bool:
        """Whether credentials may only travel inside TLS."""
        return self is not Security.NONE

    @property
    def implicit(self) -> bool:
        """Whether TLS starts with the first byte."""
        return self in (Security.SSL, Security.SSL_PINNED)

    @property
    def upgrade(self) -> bool:
        """Whether TLS is asked for by STARTTLS."""
        return self in (Security.STARTTLS, Security.STARTTLS_PINNED)

    @property
    def pinned(self) -> bool:
        """Whether one accepted certificate takes the place of the chain and the name."""
        return self in (Security.SSL_PINNED, Security.STARTTLS_PINNED)


_PORTS = {
    (Leg.SMTP, Security.SSL): 465,  # RFC 8314 §3.3
    (Leg.SMTP, Security.STARTTLS): 587,  # RFC 6409 §3.1
    (Leg.SMTP, Security.NONE): 25,  # RFC 5321
    (Leg.IMAP, Security.SSL): 993,  # RFC 8314 §3.2
    (Leg.IMAP, Security.SSL_PINNED): 993,
    (Leg.IMAP, Security.STARTTLS): 143,  # RFC 9051 §2.1
    (Leg.IMAP, Security.STARTTLS_PINNED): 143,
    (Leg.IMAP, Security.NONE): 143,
}


def default_port(leg: Leg, security: Security) -> int:
    """Return the port that goes with a security mode; SMTP has no pinned mode (``KeyError``)."""
    return _PORTS[leg, security]


def expected_security(leg: Leg, port: int) -> frozenset[Security]:
    """Return the modes that a well-known port is used with; empty when the port says nothing, as 25 does."""
    if port == _PORTS[Leg.SMTP, Security.NONE]:
        return frozenset()  # plain between servers, STARTTLS where it takes submissions too
    return frozenset(security for (of_leg, security), number in _PORTS.items() if of_leg is leg and number == port)


class AuthKind(StrEnum):
    """How an account signs in: with its password, or with what one of the OAuth2 providers gives."""

    PASSWORD = "password"  # noqa: S105  the name of a way
    GOOGLE = "google"
    MICROSOFT = "microsoft"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Password:
    """A password, or what a provider takes in its place (an app password, an API key)."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token of OAuth2 (RFC 6750); it is short-lived, and judged by its owner before it is sent."""

    secret: Secret


Credential = Password | AccessToken


@dataclass(frozen=True, slots=True)
class ServerDraft:
    """One server of the account as typed. ``port`` keeps what was typed, so that a wrong one can be shown again."""

    host: str = ""
    port: int | str = ""
    security: Security = Security.STARTTLS
    pin: str = ""

    def port_number(self, leg: Leg) -> int | None:
        """Return the port as a number, the default of the security mode when empty, ``None`` when it is no port."""
        text = str(self.port).strip()
        if not text:
            return _PORTS.get((leg, self.security))
        if not (text.isascii() and text.isdigit() and len(text) < 6):
            return None
        return int(text)


@dataclass(frozen=True, slots=True)
class LoginNames:
    """Whom each server is told beside an access token, as for a shared mailbox; an empty name is the account's user."""

    smtp: str = ""
    imap: str = ""


@dataclass(frozen=True, slots=True)
class MailAccountDraft:
    """Every field of «Cuenta mail» as typed; ``password`` is ``None`` when the stored one is kept."""

    user: str = ""
    password: Secret | None = None
    smtp: ServerDraft = field(default_factory=lambda: ServerDraft(security=Security.STARTTLS))
    imap: ServerDraft = field(default_factory=lambda: ServerDraft(security=Security.SSL))
    read_receipt: bool = False
    sent_folder: str = ""
    auth: AuthKind = AuthKind.PASSWORD
    sender: SenderDraft = field(default_factory=SenderDraft)
    logins: LoginNames = field(default_factory=LoginNames)

    def login(self, leg: Leg) -> str:
        """Return the user name that the server of ``leg`` is told. A password has one user for both."""
        own = self.logins.smtp if leg is Leg.SMTP else self.logins.imap
        return self.user if self.auth is AuthKind.PASSWORD else own or self.user


def normal_pin(text: str) -> str:
    """Return a SHA-256 fingerprint as 64 small hex digits; colons and blanks fall away, anything else stays."""
    return "".join(text.split()).replace(":", "").lower()


def check_pin(text: str) -> bool:
    """Whether ``text`` is a SHA-256 fingerprint: 64 hex digits, colons allowed."""
    pin = normal_pin(text)
    return len(pin) == 64 and all(digit in "0123456789abcdef" for digit in pin)


def check_port(leg: Leg, port: int | None, security: Security, *, name: str = "port") -> Iterator[FieldProblem]:
    """Yield what is wrong with a port; one that contradicts the security is a warning, not an obstacle."""
    if port is None or not 1 <= port <= 65535:
        yield account_texts.problem(name, "port_range")
        return
    expected = expected_security(leg, port)
    if expected and security not in expected:
        modes = [mode.value for mode in sorted(expected) if not mode.pinned]
        yield account_texts.problem(name, "port_security", blocking=False, leg=leg, port=port, expected=modes)


def check_password(password: Secret | None) -> Iterator[FieldProblem]:
    """Yield what is wrong with a password: control characters always; ``&`` by a rule of the suite."""
    text = password.reveal() if password is not None else ""
    if any(character in "\r\n\0" for character in text) or not is_storable(text):
        yield account_texts.problem("password", "control_characters")
    elif "&" in text:
        yield account_texts.problem("password", "ampersand")
    elif text and text != text.strip():
        yield account_texts.problem("password", "outer_spaces", blocking=False)
    elif _hides_something(text):
        yield account_texts.problem("password", "invisible", blocking=False)


def check_folder(folder: str, *, name: str = "folder") -> Iterator[FieldProblem]:
    """Yield what is wrong with a folder name: control characters may not reach the wire (RFC 9051 §5.1).

    Lone surrogates (bytes that were no UTF-8) cannot.
    """
    if problem := find_text_problem(folder, MAX_FOLDER):
        yield account_texts.text_problem(name, problem, MAX_FOLDER)
    elif _hides_something(folder):
        yield account_texts.problem(name, "invisible", blocking=False)


def _hides_something(text: str) -> bool:
    return any(sign != " " and not visible(sign) for sign in text)


def check_server(leg: Leg, server: ServerDraft) -> Iterator[FieldProblem]:
    """Yield the problems of one server; the fields are ``smtp_host``, ``smtp_port`` … and ``imap_pin``."""
    yield from check_host(server.host, leg, name=f"{leg}_host")
    yield from check_port(leg, server.port_number(leg), server.security, name=f"{leg}_port")
    if server.security.pinned and leg is Leg.SMTP:
        yield account_texts.problem("smtp_security", "pinned_smtp")
    if server.security.pinned and server.pin and not check_pin(server.pin):
        yield account_texts.problem(f"{leg}_pin", "pin_format")
    elif problem := find_text_problem(server.pin, MAX_PIN):
        yield account_texts.text_problem(f"{leg}_pin", problem, MAX_PIN)


def check_account(draft: MailAccountDraft) -> tuple[FieldProblem, ...]:
    """Return every problem of a draft, before any connection; the blocking ones must stop a save.

    The fields are named ``user, password, smtp_host, smtp_port, smtp_security, imap_host, imap_port, imap_pin,
    sent_folder, sender_name, sender_reply_to, logins_smtp, logins_imap``. What is merely empty does not
    block: half an account may be stored, only not proven.
    """
    return tuple(
        replace(problem, blocking=False) if problem.code == "empty" else problem for problem in _account_problems(draft)
    )


def _account_problems(draft: MailAccountDraft) -> Iterator[FieldProblem]:
    yield from _check_login(draft.user, "user")
    yield from check_password(draft.password)
    yield from check_server(Leg.SMTP, draft.smtp)
    yield from check_server(Leg.IMAP, draft.imap)
    yield from check_folder(draft.sent_folder, name="sent_folder")
    yield from check_sender(draft.sender)
    yield from _check_login(draft.logins.smtp, "logins_smtp")
    yield from _check_login(draft.logins.imap, "logins_imap")


def _check_login(user: str, name: str) -> Iterator[FieldProblem]:
    if name == "user" and not user.strip():
        yield account_texts.problem(name, "empty")
    elif problem := find_text_problem(user, MAX_LOGIN):
        yield account_texts.text_problem(name, problem, MAX_LOGIN)
    elif user != trimmed(user):
        yield account_texts.problem(name, "spaces", clean=trimmed(user))
    elif "@" in user and not is_address(user):
        # DOMAIN\user, apikey and the like are user names too; only what claims to be an address is read as one.
        yield account_texts.problem(name, "address_syntax", blocking=False, address=user)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A stored account; its draft holds no password. ``version`` 0: nothing is stored yet.

    ``password_mark`` is a keyed digest of the stored password, ``""`` without one. ``password_lost``: one was stored,
    and what the vault holds is not the one of this account; it has to be typed again. ``connected`` says who is
    connected where it signs in so and that works (``address``, ``since``, ``scopes``).
    """

    draft: MailAccountDraft = field(default_factory=MailAccountDraft)
    password_set: bool = False
    password_lost: bool = False
    password_mark: str = ""
    connected: Mapping[str, Any] | None = None
    version: int = 0
    updated: datetime | None = None

    @property
    def can_sign_in(self) -> bool:
        """Whether there is what it signs in with: a password, or a connection that works."""
        return self.password_set if self.draft.auth is AuthKind.PASSWORD else self.connected is not None


def changed_targets(stored: MailAccountDraft, draft: MailAccountDraft) -> list[str]:
    """Return the fields whose change would send the stored password to somebody else, or as somebody else.

    A field that was empty before counts as well: the password was never meant for that server. Emptying a field
    sends nothing anywhere. An encrypted connection that becomes plain counts too: the password would be readable.
    Both servers on one host that the password is for already are nobody else.
    """
    smtp, imap = (_host(stored.smtp), _host(draft.smtp)), (_host(stored.imap), _host(draft.imap))
    shared = {smtp[0], imap[0]} & {smtp[1]} & {imap[1]}
    changed = ["user"] if (new := draft.user.strip().lower()) and new != stored.user.strip().lower() else []
    changed += [
        name
        for name, (old, new) in (("smtp_host", smtp), ("imap_host", imap))
        if new and new != old and new not in shared
    ]
    for leg, old, new in ((Leg.SMTP, stored.smtp, draft.smtp), (Leg.IMAP, stored.imap, draft.imap)):
        if old.security.encrypted and not new.security.encrypted and new.host.strip():
            changed.append(f"{leg}_security")
    return changed


def password_bond(draft: MailAccountDraft) -> dict[str, str]:
    """Return for whom the password of this account is: its user, its servers, and which of them may be plain.

    What is kept with the password when it is typed must hold all of what is returned when it is used.
    """
    bond = {"user": draft.user, Leg.SMTP.value: draft.smtp.host, Leg.IMAP.value: draft.imap.host}
    for leg, server in ((Leg.SMTP, draft.smtp), (Leg.IMAP, draft.imap)):
        if server.host.strip() and not server.security.encrypted:
            bond[f"{leg}_plain"] = "yes"
    return {name: value.strip().lower() for name, value in bond.items() if value.strip()}


def list_password_uses(draft: MailAccountDraft) -> list[dict[str, str]]:
    """Return the bonds of which a kept password must hold one: where both servers are one host, either names it."""
    whole = password_bond(draft)
    if _host(draft.smtp) != _host(draft.imap):
        return [whole]
    return [whole, *({name: value for name, value in whole.items() if name != leg} for leg in Leg)]


def _host(server: ServerDraft) -> str:
    return server.host.strip().lower()


def account_to_json(draft: MailAccountDraft) -> dict[str, Any]:
    """Return the account as API and export show it, without password and version."""
    sender = draft.sender
    return {
        "user": draft.user,
        "smtp": _server_to_json(draft.smtp),
        "imap": {**_server_to_json(draft.imap), "pin": draft.imap.pin},
        "read_receipt": draft.read_receipt,
        "sent_folder": draft.sent_folder,
        "auth": draft.auth.value,
        "sender": {"name": sender.name, "reply_to": sender.reply_to, "copy_to_self": sender.copy_to_self},
        "logins": {"smtp": draft.logins.smtp, "imap": draft.logins.imap},
    }


def account_from_json(value: Mapping[str, Any]) -> MailAccountDraft:
    """Return the draft that such an object describes; what is absent is empty.

    Raises ``ValueError`` on a wrong shape.
    """
    smtp, imap = _mapping(value.get("smtp", {})), _mapping(value.get("imap", {}))
    sender, logins = _mapping(value.get("sender", {})), _mapping(value.get("logins", {}))
    return MailAccountDraft(
        user=_text(value, "user"),
        smtp=_server_from_json(smtp, Security.STARTTLS),
        imap=_server_from_json(imap, Security.SSL),
        read_receipt=bool(value.get("read_receipt", False)),
        sent_folder=_text(value, "sent_folder"),
        auth=AuthKind(value.get("auth", AuthKind.PASSWORD)),
        sender=SenderDraft(_text(sender, "name"), _text(sender, "reply_to"), bool(sender.get("copy_to_self", False))),
        logins=LoginNames(_text(logins, "smtp"), _text(logins, "imap")),
    )


def _server_to_json(server: ServerDraft) -> dict[str, Any]:
    text = str(server.port).strip()
    return {"host": server.host, "port": int(text) if text.isdigit() else None, "security": server.security.value}


def _server_from_json(value: Mapping[str, Any], security: Security) -> ServerDraft:
    port = value.get("port")
    if port is not None and (isinstance(port, bool) or not isinstance(port, int)):
        raise ValueError("port must be a whole number")
    return ServerDraft(
        host=_text(value, "host"),
        port="" if port is None else port,
        security=Security(value.get("security", security)),
        pin=_text(value, "pin"),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("it must be an object")
    return value  # pyright: ignore[reportUnknownVariableType]


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a text")
    return text
