"""The mail account as the API reads and writes it.

Apart from the other objects: no route but its own has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.mail.account import MailAccountDraft, account_from_json
from cgcore.mail.steps import Leg
from cgcore.vault.secret import Secret
from cgcore.web.api.message_objects import NoticeObject
from cgcore.web.api.objects import ApiObject

__all__ = [
    "BounceSearch",
    "BounceSearchInput",
    "MailAccount",
    "MailAccountChange",
    "MailAccountInput",
    "MailWatch",
    "MailWatchInput",
    "Probe",
    "build_draft",
    "in_api_words",
    "merge",
]

SmtpSecurity = Literal["none", "ssl", "starttls"]
ImapSecurity = Literal["none", "ssl", "starttls", "ssl-pinned", "starttls-pinned"]
Port = Annotated[int, Field(ge=1, le=65535)]


def _documented(pattern: str, **more: Any) -> Any:
    """Return the description of a text; its rule proper stands in ``cgcore.mail`` and answers with its own sentence."""
    return Field(json_schema_extra={"pattern": pattern, **more})


_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
Host = Annotated[str, _documented("^[^/@ ]*$"), StringConstraints(max_length=253)]
User = Annotated[str, _documented(_NO_CONTROL), StringConstraints(max_length=320)]
Folder = Annotated[str, _documented(_NO_CONTROL), StringConstraints(max_length=500)]
Pin = Annotated[str, StringConstraints(max_length=120, pattern=_NO_CONTROL)]
Name = Annotated[str, _documented(_NO_CONTROL), StringConstraints(max_length=120)]
Address = Annotated[str, _documented(_NO_CONTROL), StringConstraints(max_length=254)]
Auth = Literal["password", "google", "microsoft", "custom"]
Password = Annotated[str, _documented(r"^[^&\r\n\x00]*$", writeOnly=True), StringConstraints(max_length=1280)]


class SmtpServer(ApiObject):
    """The outgoing server."""

    host: Host
    port: Port | None
    security: SmtpSecurity


class ImapServer(ApiObject):
    """The incoming server; ``pin`` is the SHA-256 of the one certificate that a pinned mode accepts."""

    host: Host
    port: Port | None
    security: ImapSecurity
    pin: Pin = ""


class SenderIdentity(ApiObject):
    """How mail of the account presents itself.

    An empty ``name`` is that of the company, else of the person; an empty ``reply_to`` the address itself. With
    ``copy_to_self`` every document goes to that address too, as a Bcc.
    """

    name: Name = ""
    reply_to: Address = ""
    copy_to_self: bool = False


class LoginNames(ApiObject):
    """Whom each server is told beside the token of a connection; an empty one is ``user``. Without effect elsewhere.

    A shared mailbox: ``imap`` its own name, ``smtp`` that of the person who has access to it.
    """

    smtp: User = ""
    imap: User = ""


class Connected(BaseModel):
    """Who has connected the account at its provider, since when, and what was allowed."""

    address: str
    since: str
    scopes: list[str]


class MailAccount(BaseModel):
    """A mail account as it is shown: everything but the password."""

    user: str
    smtp: SmtpServer
    imap: ImapServer
    read_receipt: bool
    sent_folder: str
    auth: Auth
    sender: SenderIdentity
    logins: LoginNames
    connected: Connected | None
    password_set: bool
    version: int


class WatchTrouble(BaseModel):
    """One thing that the daily watch has seen; ``key`` is the diagnosis of a server that refuses, else ``""``."""

    code: Literal["failed", "certificate_ends", "quota", "record_changed"]
    leg: Literal["smtp", "imap", "dns"]
    key: str
    text: str
    since: str


class MailWatch(BaseModel):
    """Whether the account is watched, the moment of the last look, and what there is to tell."""

    enabled: bool
    looked: str | None
    troubles: list[WatchTrouble]


class MailWatchInput(ApiObject):
    """The switch of the daily watch."""

    enabled: bool


class BounceSearch(BaseModel):
    """Whether the inbox is searched for what came back, the moment of the last look, and why it was not answered since
    (``key``); and what was found that names no message, for keys that may send: only they see messages and addresses.
    """

    enabled: bool
    looked: datetime | None
    key: str
    unassigned: list[NoticeObject]


class BounceSearchInput(ApiObject):
    """The switch of the search."""

    enabled: bool


class MailAccountInput(ApiObject):
    """A whole account. ``password`` left out or null keeps the stored one, ``""`` removes it.

    ``auth`` is how it signs in: ``password``, or a provider that is connected for this very account (else 409); left
    out it stays as it is, and is ``password`` where a password is given. ``sender`` and ``logins`` left out
    stay too. ``connected``, ``password_set`` and ``version`` may stand there as they were read, and count for nothing.
    """

    user: User
    smtp: SmtpServer
    imap: ImapServer
    read_receipt: bool
    sent_folder: Folder
    auth: Auth | None = None
    sender: SenderIdentity | None = None
    logins: LoginNames | None = None
    connected: dict[str, Any] | None = None
    password: Password | None = None
    password_set: bool | None = None
    version: int | None = None


class SmtpServerChange(ApiObject):
    """What changes of the outgoing server."""

    host: Host = ""
    port: Port | None = None
    security: SmtpSecurity = "starttls"


class ImapServerChange(ApiObject):
    """What changes of the incoming server."""

    host: Host = ""
    port: Port | None = None
    security: ImapSecurity = "ssl"
    pin: Pin = ""


class MailAccountChange(ApiObject):
    """What changes of an account; a member left out stays as it is."""

    user: User = ""
    smtp: SmtpServerChange = SmtpServerChange()
    imap: ImapServerChange = ImapServerChange()
    read_receipt: bool = False
    sent_folder: Folder = ""
    auth: Auth = "password"
    sender: SenderIdentity = SenderIdentity()
    logins: LoginNames = LoginNames()
    password: Password | None = None


class Probe(MailAccountChange):
    """The leg to prove, and what differs from the stored account for this proof only."""

    leg: Literal["smtp", "imap"]


def build_draft(account: Mapping[str, Any], password: str | None) -> MailAccountDraft:
    """Return the draft that such an object describes."""
    secret = None if password is None else Secret(password)
    return replace(account_from_json(account), password=secret)


def merge(stored: Mapping[str, Any], change: MailAccountChange) -> dict[str, Any]:
    """Return ``stored`` with the members that ``change`` names, one level deep (RFC 7396)."""
    merged = dict(stored)
    for name, value in change.model_dump(exclude_unset=True, exclude={"password", "leg"}).items():
        merged[name] = {**merged[name], **value} if isinstance(value, dict) else value
    return merged


def in_api_words(error: InvalidInput) -> InvalidInput:
    """Return ``error`` with its fields named as in the API: ``smtp.host`` for ``smtp_host``."""
    legs = (*(f"{leg.value}_" for leg in Leg), "sender_", "logins_")
    return InvalidInput(
        *(
            FieldProblem(found.field.replace("_", ".", 1), found.code, found.text, found.blocking)
            if found.field.startswith(legs)
            else found
            for found in error.problems
        )
    )
