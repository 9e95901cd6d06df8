"""What a configuration file holds, checked in form; what it means is judged where each part belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cgcore.documents import DocumentType
from cgcore.identity.tokens import username_key
from cgcore.mail.account import AuthKind, MailAccountDraft, Security, ServerDraft, account_from_json, check_server
from cgcore.mail.addresses import encode_name
from cgcore.mail.preset import USERNAME_FORMS, MailPreset
from cgcore.mail.steps import Leg
from cgcore.portable.reading import portable_text, read_json, refuse, refuse_with
from cgcore.series.series import SeriesDraft, SeriesKind, code_key, code_problem
from cgcore.text_rules import find_text_problem

__all__ = ["Content", "Fields", "UserContent", "read_account", "read_content"]

_SECRET_WORDS = ("password", "contraseña", "secret", "token", "hash", "api_key", "digest")


class Fields:
    """One object of the file at ``place``. What is asked for is checked; what is not known is refused."""

    def __init__(self, value: Any, place: str, known: Iterable[str]) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(place, "object")
        self.values: dict[str, Any] = value
        self.place = place
        wanted = set(known)
        for name in self.values:
            if name not in wanted:
                is_secret = any(word in name.casefold() for word in _SECRET_WORDS)
                raise refuse(self.at(name), "secret_field" if is_secret else "unknown_field")

    def at(self, name: str) -> str:
        """Return the place of a field."""
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def text(self, name: str, *, required: bool = False, lines: bool = False) -> str:
        """Return a text, ``""`` where it is absent, of what any field takes; line breaks where ``lines``.

        How long it may be, and what else it may not hold, is for the part that it belongs to.
        """
        value = self._get(name, required, str, "text", "")
        if find_text_problem(value, len(value), lines=lines):
            raise refuse(self.at(name), "unprintable")
        return value

    def long_text(self, name: str) -> str:
        """Return a text as it is, ``""`` where it is absent; the reader of that part cleans it."""
        return self._get(name, False, str, "text", "")

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """Return one of ``allowed``, ``default`` where it is absent."""
        value = self.text(name) or default
        if value not in set(allowed):
            raise refuse(self.at(name), "wrong_value", valor=value)
        return value

    def boolean(self, name: str, default: bool) -> bool:
        """Return a truth value."""
        return self._get(name, False, bool, "boolean", default)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return an object, empty where it is absent."""
        return self._get(name, False, dict, "object", {})

    def items(self, name: str) -> list[Any]:
        """Return a list, empty where it is absent."""
        return self._get(name, False, list, "list", [])

    def _get(self, name: str, required: bool, kind: type, word: str, default: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            if required:
                raise refuse(self.at(name), "missing_field")
            return default
        if not isinstance(value, kind):
            raise _wrong_type(self.at(name), word)
        return value


def _wrong_type(place: str, word: str) -> Exception:
    return refuse(place, "wrong_type", clase=portable_text(word))


_Defaults = Mapping[DocumentType, str]

# More than any house has, and what an import brings in within the time that others wait for their turn.
_MAX_SERIES, _MAX_USERS = 20_000, 20_000


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
    mail_watch: bool | None
    bounce_search: bool | None
    templates: Mapping[str, Any] | None
    signature: Mapping[str, Any] | None
    series_defaults: _Defaults | None


@dataclass(frozen=True, slots=True)
class Content:
    """The whole file. None: that part is not in it."""

    company: Mapping[str, Any] | None
    company_series: _Defaults | None
    mail_presets: tuple[MailPreset, ...] | None
    series: tuple[SeriesDraft, ...]
    users: tuple[UserContent, ...]


def read_content(data: bytes) -> Content:
    """Return what a file holds. Raises :class:`cgcore.portable.reading.Refused` with the place of the first fault."""
    top = Fields(read_json(data), "", ("format", "version", "company", "series", "users"))
    company, company_series, presets = _company(top) if top.has("company") else (None, None, None)
    for name, most in (("series", _MAX_SERIES), ("users", _MAX_USERS)):
        if len(top.items(name)) > most:
            raise refuse(name, "too_many", maximo=most)
    series = tuple(_series(value, f"series[{index}]") for index, value in enumerate(top.items("series")))
    users = tuple(_user(value, f"users[{index}]") for index, value in enumerate(top.items("users")))
    _refuse_repeated("series", "repeated_series", [(draft.code, code_key(draft.code)) for draft in series])
    _refuse_repeated("users", "repeated_user", [(user.name, username_key(user.name)) for user in users])
    return Content(company, company_series, presets, series, users)


def _company(top: Fields) -> tuple[Mapping[str, Any], _Defaults, tuple[MailPreset, ...] | None]:
    fields = Fields(top.values["company"], "company", ("name", "tax_id", "address", "logo", "series", "mail_servers"))
    values = {
        "name": fields.text("name"),
        "tax_id": fields.text("tax_id"),
        "address": fields.text("address", lines=True),
        "logo": fields.text("logo"),
    }
    return values, _defaults(fields, "series"), _presets(fields) if fields.has("mail_servers") else None


def _presets(company: Fields) -> tuple[MailPreset, ...]:
    return tuple(
        _preset(domain, Fields(value, f"{company.at('mail_servers')}.{domain}", ("smtp", "imap", "username_form")))
        for domain, value in company.mapping("mail_servers").items()
    )


def _preset(domain: str, fields: Fields) -> MailPreset:
    try:
        encoded = encode_name(domain)
    except UnicodeError:
        encoded = ""
    if "." not in encoded or encoded != domain:
        raise refuse(fields.place, "wrong_value", valor=domain)
    servers = {leg: _preset_server(leg, fields) for leg in Leg}
    form = fields.choice("username_form", USERNAME_FORMS, USERNAME_FORMS[0])
    return MailPreset(domain, servers[Leg.SMTP], servers[Leg.IMAP], form)


def _preset_server(leg: Leg, preset: Fields) -> ServerDraft:
    fields = Fields(preset.mapping(leg.value), preset.at(leg.value), ("host", "port", "security"))
    modes = [Security.SSL.value, Security.STARTTLS.value]
    security = Security(fields.choice("security", modes, ""))
    port = fields.values.get("port")
    if not isinstance(port, int) or isinstance(port, bool):
        raise refuse(fields.at("port"), "wrong_value", valor=port)
    server = ServerDraft(fields.text("host", required=True), port, security)
    for problem in check_server(leg, server):
        if problem.blocking:
            raise refuse_with(f"{preset.place}.{leg}.{problem.field.removeprefix(f'{leg}_')}", problem.text)
    return server


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
    parts = ("mail_account", "mail_watch", "bounce_search", "templates", "signature", "series_defaults")
    fields = Fields(value, place, ("name", "full_name", "mail", "role", "active", *parts))
    return UserContent(
        place=place,
        name=fields.text("name", required=True),
        full_name=fields.text("full_name") if fields.has("full_name") else None,
        mail=fields.text("mail") if fields.has("mail") else None,
        role=fields.choice("role", ("user", "admin"), "user") if fields.has("role") else None,
        active=fields.boolean("active", True) if fields.has("role") else None,
        mail_account=fields.mapping("mail_account") if fields.has("mail_account") else None,
        mail_watch=_switch(fields, "mail_watch", True),
        bounce_search=_switch(fields, "bounce_search", False),
        templates=fields.mapping("templates") if fields.has("templates") else None,
        signature=fields.mapping("signature") if fields.has("signature") else None,
        series_defaults=_defaults(fields, "series_defaults") if fields.has("series_defaults") else None,
    )


def _switch(fields: Fields, name: str, by_itself: bool) -> bool | None:
    """Return a switch of the account: without a word of it what it is by itself, where the file brings an account."""
    return fields.boolean(name, by_itself) if fields.has("mail_account") or fields.has(name) else None


def _defaults(fields: Fields, name: str) -> dict[DocumentType, str]:
    found: dict[DocumentType, str] = {}
    for key, code in fields.mapping(name).items():
        at = f"{fields.at(name)}.{key}"
        document_type = _document_type(key, at)
        if isinstance(code, dict):
            code = code.get("series")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if code is None:
            continue
        if not isinstance(code, str) or code_problem(code):
            # A default may outlive its series, but that series had a code that one can have.
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


def read_account(value: Any, place: str) -> MailAccountDraft:
    """Return the account at ``place``, checked in form: only known fields, each of its type, and never a password."""
    fields = Fields(value, place, ("user", "smtp", "imap", "read_receipt", "sent_folder", "auth", "sender", "logins"))
    fields.text("user")
    fields.text("sent_folder")
    fields.boolean("read_receipt", False)
    fields.choice("auth", [kind.value for kind in AuthKind], AuthKind.PASSWORD.value)
    sender = Fields(fields.mapping("sender"), f"{place}.sender", ("name", "reply_to", "copy_to_self"))
    sender.text("name")
    sender.text("reply_to")
    sender.boolean("copy_to_self", False)
    logins = Fields(fields.mapping("logins"), f"{place}.logins", ("smtp", "imap"))
    logins.text("smtp")
    logins.text("imap")
    for leg in ("smtp", "imap"):
        _check_server(Fields(fields.mapping(leg), f"{place}.{leg}", ("host", "port", "security", "pin")), leg)
    try:
        return account_from_json(fields.values)
    except ValueError:
        raise refuse(place, "wrong_type", clase=portable_text("object")) from None


def _check_server(fields: Fields, leg: str) -> None:
    if leg == "smtp" and fields.has("pin"):
        raise refuse(fields.at("pin"), "unknown_field")
    fields.text("host")
    fields.text("pin")
    fields.choice("security", [security.value for security in Security], Security.NONE.value)
    port = fields.values.get("port")
    if port is not None and (not isinstance(port, int) or isinstance(port, bool)):
        raise refuse(fields.at("port"), "wrong_value", valor=port)
