"""The tables (SQLModel). Rows never leave ``storage`` and ``workbench``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Index, LargeBinary, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import declared_attr
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from cgcore.clock import utc_now

__all__ = [
    "ActivityRow",
    "ApiCallDayRow",
    "ApiCallRow",
    "ApiKeyRow",
    "CompanyRow",
    "CompanySeriesRow",
    "DraftRow",
    "GrantRow",
    "LoginSessionRow",
    "MailAccountRow",
    "MailTemplateRow",
    "OneTimeCodeRow",
    "ProbeRunRow",
    "Row",
    "SeriesDefaultRow",
    "SeriesNumberRow",
    "SeriesRow",
    "SignatureRow",
    "TemplateImageRow",
    "TemplateVersionRow",
    "ThrottleRow",
    "UserRow",
    "UtcDateTime",
    "VaultRecordRow",
    "metadata",
]


class Row(SQLModel):
    """The base of every table: ``MailAccountRow`` is kept in the table ``mail_account``."""

    @declared_attr  # type: ignore[arg-type]
    def __tablename__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        words = re.findall(r"[A-Z][a-z0-9]*", cls.__name__.removesuffix("Row"))
        return "_".join(word.lower() for word in words)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, so it is put back on reading; a naive value is refused on writing."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ActivityRow(Row, table=True):
    """One line of the activity log. ``actor_name`` is kept as it was then; ``detail`` never holds a secret.

    ``changes`` holds codes and values as JSON text, so that a search finds the values.

    Both indexes end in ``id``, the order of the page, so that a first page reads only its own rows. Triggers of the
    database keep it append-only (migration 0001): no repository has an update or a delete, and neither has a mistake.
    """

    __table_args__ = (
        Index("ix_activity_actor_id_id", "actor_id", "id"),
        Index("ix_activity_action_id", "action", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    actor_id: int | None = None
    actor_name: str = ""
    action: str
    object: str = ""
    result: str = "ok"
    ip: str = ""
    key_id: str = ""
    detail: str = ""
    changes: str = Field(default="", sa_column_kwargs={"server_default": ""})


class VaultRecordRow(Row, table=True):
    """One encrypted record of the vault, where replicas share them (PostgreSQL). ``name`` is a SHA-256 (hex)."""

    name: str = Field(primary_key=True)
    record: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ApiKeyRow(Row, table=True):
    """A key without the key: its public id, the digest of its secret, its last four characters.

    ``retires``: when a replaced key falls silent, if its successor (``replaced_by``) is not used before.
    """

    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    device: str = ""
    digest: str
    last4: str
    scopes: str = "read write send"
    created: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_ip: str = ""
    revoked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retires: datetime | None = Field(default=None, sa_type=UtcDateTime)
    replaced_by: str | None = Field(default=None, index=True)


class ApiCallRow(Row, table=True):
    """One call made with a key; only the last ones are kept."""

    id: int | None = Field(default=None, primary_key=True)
    key_id: str = Field(foreign_key="api_key.id", index=True, ondelete="CASCADE")
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    method: str
    path: str
    status: int
    ms: int
    ip: str = ""


class ApiCallDayRow(Row, table=True):
    """How many calls a key made on one day (UTC)."""

    key_id: str = Field(primary_key=True, foreign_key="api_key.id", ondelete="CASCADE")
    day: date = Field(primary_key=True)
    calls: int = 0


class CompanyRow(Row, table=True):
    """The one company of the installation (``id`` is always 1)."""

    id: int = Field(default=1, primary_key=True)
    name: str = ""
    tax_id: str = ""
    address: str = ""
    logo_sha256: str | None = Field(default=None, foreign_key="template_image.sha256")
    version: int = 1


class CompanySeriesRow(Row, table=True):
    """The company's default series of one document type; like a user's, it outlives its series and is then reported."""

    document_type: str = Field(primary_key=True)
    series_code: str = Field(index=True)


class DraftRow(Row, table=True):
    """The draft of one page in one tab (``tab``: a digest): each form's changed fields, and the version it was read at.

    Never a secret. It is its user's alone, and goes with the user.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    page: str = Field(primary_key=True)
    tab: str = Field(primary_key=True)
    content: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    saved: datetime = Field(sa_type=UtcDateTime)


class UserRow(Row, table=True):
    """A person who logs in. ``username_key`` is the case-folded name, and unique."""

    id: int | None = Field(default=None, primary_key=True)
    username: str
    username_key: str = Field(unique=True, index=True)
    full_name: str = ""
    mail: str = ""
    role: str = "user"
    password_hash: str = ""
    locale: str = "es"
    active: bool = True
    created: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    version: int = 1


class LoginSessionRow(Row, table=True):
    """One log-in of one browser; the cookie's token is stored only as its SHA-256 (hex)."""

    token_hash: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    created: datetime = Field(sa_type=UtcDateTime)
    last_seen: datetime = Field(sa_type=UtcDateTime)
    expires: datetime = Field(sa_type=UtcDateTime)
    revoked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ip: str = ""
    user_agent: str = ""


class ThrottleRow(Row, table=True):
    """Failures of one account or one source, and when it may try again."""

    key: str = Field(primary_key=True)
    failures: int = 0
    last_failure: datetime = Field(sa_type=UtcDateTime)
    next_allowed: datetime = Field(sa_type=UtcDateTime)


class OneTimeCodeRow(Row, table=True):
    """A code that works once: first use, password reset, pairing. Only its SHA-256 (hex) is stored."""

    code_hash: str = Field(primary_key=True)
    purpose: str = Field(index=True)
    user_id: int | None = Field(default=None, foreign_key="user.id", ondelete="CASCADE")
    created: datetime = Field(sa_type=UtcDateTime)
    expires: datetime = Field(sa_type=UtcDateTime)
    used: datetime | None = Field(default=None, sa_type=UtcDateTime)


class GrantRow(Row, table=True):
    """The right to do one action once, given after the password was asked again."""

    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    session_hash: str
    action: str
    expires: datetime = Field(sa_type=UtcDateTime)
    used: datetime | None = Field(default=None, sa_type=UtcDateTime)


class MailAccountRow(Row, table=True):
    """Every field of «Cuenta mail» but the password, which lives in the vault."""

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    user: str = ""
    smtp_host: str = ""
    smtp_port: int | None = None
    smtp_security: str = "starttls"
    imap_host: str = ""
    imap_port: int | None = None
    imap_security: str = "ssl"
    imap_pin: str = ""
    read_receipt: bool = False
    sent_folder: str = ""
    auth: str = Field(default="password", sa_column_kwargs={"server_default": "password"})
    sender_name: str = Field(default="", sa_column_kwargs={"server_default": ""})
    reply_to: str = Field(default="", sa_column_kwargs={"server_default": ""})
    copy_to_self: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    smtp_login: str = Field(default="", sa_column_kwargs={"server_default": ""})
    imap_login: str = Field(default="", sa_column_kwargs={"server_default": ""})
    password_set: bool = False
    # A keyed digest that tells whether a typed password is the stored one; the key is not in the database.
    password_mark: str = ""
    version: int = 1
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class ProbeRunRow(Row, table=True):
    """One run of one cell: its steps as they were stored, and its verdict once there is one.

    ``owner`` is the process that drives it, and ``beats`` grows while that one lives. One run of a user and cell goes
    on at a time, whichever process it is in.
    """

    __table_args__ = (
        Index(
            "ux_probe_run_running",
            "user_id",
            "cell",
            unique=True,
            sqlite_where=text("finished IS NULL"),
            postgresql_where=text("finished IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    cell: str = Field(index=True)
    number: int = 1
    fingerprint: str
    steps: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    verdict: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    started: datetime = Field(sa_type=UtcDateTime)
    finished: datetime | None = Field(default=None, sa_type=UtcDateTime)
    duration_ms: int = 0
    owner: str = Field(default="", sa_column_kwargs={"server_default": ""})
    beats: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class SeriesRow(Row, table=True):
    """A series. ``code_key`` is unique: «a» and «A» are one series, and so is a code whose letters are composed."""

    code: str = Field(primary_key=True)
    code_key: str = Field(unique=True, index=True)
    name: str = ""
    active: bool = True
    kind: str = "ordinaria"
    version: int = 1


class SeriesNumberRow(Row, table=True):
    """A document type of a series, with the number that the next document takes.

    A type that is taken away only loses ``enabled``: its counter and the last number seen stay, so that no number
    is lost when it comes back. ``last_used`` is the highest number that a sent document bore, in ``last_used_year``.
    """

    __table_args__ = (Index("ix_series_number_type_code", "document_type", "series_code"),)

    series_code: str = Field(primary_key=True, foreign_key="series.code", ondelete="CASCADE")
    document_type: str = Field(primary_key=True)
    enabled: bool = True
    next_number: int = 1
    last_used: int = 0
    last_used_year: int = 0


class SeriesDefaultRow(Row, table=True):
    """A user's own default series of one document type. No row: the company's.

    There is no foreign key to the series on purpose: a default that points at a deleted series stays, and is reported.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    document_type: str = Field(primary_key=True)
    series_code: str = Field(index=True)


class MailTemplateRow(Row, table=True):
    """Subject and body of one user for one document type, in the editor's format. No row: the built-in default."""

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    document_type: str = Field(primary_key=True)
    subject: str = ""
    body: str = ""
    version: int = 1
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class SignatureRow(Row, table=True):
    """The one signature of a user, in the editor's format. No row: the built-in default."""

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    html: str = ""
    version: int = 1
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class TemplateVersionRow(Row, table=True):
    """An earlier state of a template (or of the signature, with an empty ``document_type``)."""

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    document_type: str = Field(default="", index=True)
    subject: str = ""
    body: str = ""
    version: int = 1
    saved: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class TemplateImageRow(Row, table=True):
    """An image by its content."""

    sha256: str = Field(primary_key=True)
    type: str
    width: int
    height: int
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


metadata = SQLModel.metadata
