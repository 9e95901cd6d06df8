"""The exceptions of the product.

::

    CloudGestionError
    ├── NotAllowed            the actor may not do this                    (PermissionError)
    ├── NotFound              no such object, or not the actor's           (LookupError)
    ├── InvalidInput          a field is wrong: ``problems``               (ValueError)
    ├── StaleVersion          somebody saved in between: ``stored``
    ├── Throttled             too many failures: ``retry_after`` seconds
    ├── VaultError            a secret cannot be kept or read
    ├── StorageError          the database cannot be opened or migrated, or fails
    │   └── StorageBusy       it is taken by others: ``retry_after`` seconds
    ├── InvalidSettings       variables that cannot be understood: ``problems``
    └── UnsafeStart           production refuses to start

A remote mail server that refuses is none of these: it is a step with a diagnosis.
Screen texts are looked up by ``code``; an exception's own text is English and holds no user data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cgcore.texts import Text, text

__all__ = [
    "CloudGestionError",
    "FieldProblem",
    "InvalidInput",
    "InvalidSettings",
    "LoginEnded",
    "NotAllowed",
    "NotFound",
    "StaleVersion",
    "StorageBusy",
    "StorageError",
    "Throttled",
    "UnsafeStart",
    "VaultError",
]


class CloudGestionError(Exception):
    """The root of the tree; ``code`` is stable and names the screen text."""

    code: str = "internal"

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code


class NotAllowed(CloudGestionError, PermissionError):
    """The actor's role does not allow this use case."""

    code = "not_allowed"


class LoginEnded(NotAllowed):
    """The log-in that somebody acts with is over: ended, overdue, or its account closed."""

    code = "login_ended"


class NotFound(CloudGestionError, LookupError):
    """There is no such object, or it belongs to somebody else: both look the same."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field: its name, a stable code, the sentence to be made, and whether it blocks."""

    field: str
    code: str
    text: Text
    blocking: bool = True

    @classmethod
    def of(cls, file: str, field: str, key: str, /, **values: object) -> FieldProblem:
        """Return the problem of ``field`` whose sentence is ``key`` of ``file``; its code is the last part of it."""
        return cls(field, key.rpartition(".")[2], text(file, key, **values))

    @property
    def message(self) -> str:
        """The sentence, in the language of the person."""
        return str(self.text)

    @property
    def values(self) -> dict[str, Any]:
        """What the sentence names, as plain values and codes."""
        return self.text.codes()


class InvalidInput(CloudGestionError, ValueError):
    """One or more fields are wrong; nothing was stored."""

    code = "invalid_input"

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__(", ".join(f"{problem.field}: {problem.code}" for problem in problems))
        self.problems = problems


class InvalidSettings(CloudGestionError, ValueError):
    """Settings that cannot be understood: the code of what is wrong, by variable."""

    code = "invalid_settings"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{name}: {code}" for name, code in problems.items()))
        self.problems = problems


class StaleVersion(CloudGestionError):
    """Somebody else has saved the object since it was read. ``stored`` is what stands there now, public fields only."""

    code = "stale_version"

    def __init__(self, version: int, stored: Mapping[str, Any]) -> None:
        super().__init__(f"the stored version is {version}")
        self.version = version
        self.stored = stored


class Throttled(CloudGestionError):
    """Too many failures; ``retry_after`` says in how many seconds a try is heard again."""

    code = "throttled"

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many failures")
        self.retry_after = retry_after


class VaultError(CloudGestionError):
    """A secret cannot be written, read back or opened; ``code`` says which."""

    code = "vault"


class StorageError(CloudGestionError):
    """The database cannot be opened, is newer than this program, or fails; ``code`` says which."""

    code = "storage"


class StorageBusy(StorageError):
    """Others hold the database for longer than anybody waits; nothing was stored, and the same try may work soon."""

    code = "storage_busy"

    def __init__(self, message: str = "", *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnsafeStart(CloudGestionError):
    """Production mode found a setting that it will not start with."""

    code = "unsafe_start"
