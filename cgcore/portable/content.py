"""What a configuration file holds, checked in form; what it means is judged where each part belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cgcore.documents import DocumentType
from cgcore.portable.fields import Fields
from cgcore.portable.problems import refuse
from cgcore.portable.reading import read_json
from cgcore.series.codes import code_key
from cgcore.series.drafts import SeriesDraft
from cgcore.series.kinds import SeriesKind

__all__ = ["Content", "UserContent", "read_content"]

_Defaults = Mapping[DocumentType, str]


@dataclass(frozen=True, slots=True)
class UserContent:
    """One user of the file at ``place``. None: the file says nothing of that part, and an import leaves it alone."""

    place: str
    name: str
    full_name: str | None
    mail: str | None
    role: str | None
    active: bool | None
    mail_account: Mapping[str, Any] | None
    templates: Mapping[str, Any] | None
    signature: Mapping[str, Any] | None
    series_defaults: _Defaults | None


@dataclass(frozen=True, slots=True)
class Content:
    """The whole file. None: that part is not in it."""

    company: Mapping[str, Any] | None
    company_series: _Defaults | None
    series: tuple[SeriesDraft, ...]
    users: tuple[UserContent, ...]

    @property
    def changes_house(self) -> bool:
        """Whether it holds more than users."""
        return self.company is not None or bool(self.series)


def read_content(data: bytes) -> Content:
    """Return what a file holds. Raises :class:`cgcore.portable.problems.Refused` with the place of the first fault."""
    top = Fields(read_json(data), "", ("format", "version", "company", "series", "users"))
    company, company_series = _company(top) if top.has("company") else (None, None)
    series = tuple(_series(value, f"series[{index}]") for index, value in enumerate(top.items("series")))
    users = tuple(_user(value, f"users[{index}]") for index, value in enumerate(top.items("users")))
    _refuse_repeated("series", "repeated_series", [(draft.code, code_key(draft.code)) for draft in series])
    _refuse_repeated("users", "repeated_user", [(user.name, user.name.strip().casefold()) for user in users])
    return Content(company, company_series, series, users)


def _company(top: Fields) -> tuple[Mapping[str, Any], _Defaults]:
    fields = Fields(top.values["company"], "company", ("name", "tax_id", "address", "logo", "series"))
    values = {
        "name": fields.text("name"),
        "tax_id": fields.text("tax_id"),
        "address": fields.text("address", lines=True),
        "logo": fields.text("logo"),
    }
    return values, _defaults(fields, "series")


def _series(value: Any, place: str) -> SeriesDraft:
    fields = Fields(value, place, ("code", "name", "kind", "active", "document_types"))
    numbers: dict[DocumentType, int] = {}
    for name, number in fields.mapping("document_types").items():
        at = f"{place}.document_types.{name}"
        if not isinstance(number, int) or isinstance(number, bool):
            raise refuse(at, "wrong_value", valor=number)
        numbers[_document_type(name, at)] = number
    return SeriesDraft(
        code=fields.text("code", required=True),
        name=fields.text("name"),
        kind=SeriesKind(fields.choice("kind", list(SeriesKind), SeriesKind.ORDINARY)),
        active=fields.boolean("active", True),
        next_numbers=numbers,
    )


def _user(value: Any, place: str) -> UserContent:
    parts = ("mail_account", "templates", "signature", "series_defaults")
    fields = Fields(value, place, ("name", "full_name", "mail", "role", "active", *parts))
    return UserContent(
        place=place,
        name=fields.text("name", required=True),
        full_name=fields.text("full_name") if fields.has("full_name") else None,
        mail=fields.text("mail") if fields.has("mail") else None,
        role=fields.choice("role", ("user", "admin"), "user") if fields.has("role") else None,
        active=fields.boolean("active", True) if fields.has("role") else None,
        mail_account=fields.mapping("mail_account") if fields.has("mail_account") else None,
        templates=fields.mapping("templates") if fields.has("templates") else None,
        signature=fields.mapping("signature") if fields.has("signature") else None,
        series_defaults=_defaults(fields, "series_defaults") if fields.has("series_defaults") else None,
    )


def _defaults(fields: Fields, name: str) -> dict[DocumentType, str]:
    found: dict[DocumentType, str] = {}
    for key, code in fields.mapping(name).items():
        at = f"{fields.at(name)}.{key}"
        document_type = _document_type(key, at)
        if isinstance(code, dict):
            code = code.get("series")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if code is None:
            continue
        if not isinstance(code, str):
            raise refuse(at, "wrong_value", valor=code)  # pyright: ignore[reportUnknownArgumentType]
        found[document_type] = code
    return found


def _document_type(text: str, place: str) -> DocumentType:
    try:
        return DocumentType(text)
    except ValueError:
        raise refuse(place, "unknown_field") from None


def _refuse_repeated(place: str, key: str, names: list[tuple[str, str]]) -> None:
    seen: set[str] = set()
    for name, folded in names:
        if folded in seen:
            raise refuse(place, key, nombre=name)
        seen.add(folded)
