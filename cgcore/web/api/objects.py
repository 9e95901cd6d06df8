"""What the API reads and writes: one model an object, unknown members refused, no type bent to fit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from cgcore.api_keys.request import MAX_DEVICE
from cgcore.identity.actor import Role, Scope

__all__ = [
    "NO_NUL",
    "ActivityLine",
    "ActivityList",
    "ApiObject",
    "Company",
    "ErrorField",
    "Explain",
    "Explanation",
    "Me",
    "NewKey",
    "Pairing",
    "Problem",
    "RolledKey",
    "User",
    "Word",
]

# PostgreSQL stores no NUL in a text, and nobody means one.
NO_NUL = r"^[^\x00]*$"

Word = Annotated[str, StringConstraints(max_length=300, pattern=NO_NUL)]


class ApiObject(BaseModel):
    """The ground of every object that is read."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ErrorField(BaseModel):
    """One wrong field."""

    field: str
    code: str
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ErrorField] = []
    version: int | None = None


class User(BaseModel):
    """The user that a key acts for."""

    username: str
    full_name: str
    mail: str
    role: Role


class Company(BaseModel):
    """The company of the installation."""

    name: str
    tax_id: str
    address: str


class Me(BaseModel):
    """Who calls, for which company, and what the key may do."""

    user: User
    company: Company
    scopes: list[Scope]


class Explain(ApiObject):
    """A server's reply to be explained, as on the command line."""

    protocol: Literal["smtp", "imap", "library"] = "library"
    stage: Word = ""
    text: Annotated[str, StringConstraints(max_length=20_000, pattern=NO_NUL)]
    provider: Word = ""


class Explanation(BaseModel):
    """What the reply means and what to do."""

    key: str
    title: str
    fix: str


class ActivityLine(BaseModel):
    """One line of the trail."""

    id: int
    at: datetime
    user: str
    action: str
    object: str
    result: str
    detail: str
    ip: str
    key_id: str


class ActivityList(BaseModel):
    """One page of the trail, the newest line first; ``next`` is the cursor of the following one."""

    items: list[ActivityLine]
    next: str | None


class Pairing(ApiObject):
    """The one-time code of a pairing and the name of the device."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
    device: Annotated[str, StringConstraints(min_length=1, max_length=MAX_DEVICE, pattern=NO_NUL)]


class NewKey(BaseModel):
    """A key, shown this once."""

    key: str
    id: str


class RolledKey(NewKey):
    """A key that replaces another, which is heard until ``old_expires`` at the latest."""

    old_expires: datetime
