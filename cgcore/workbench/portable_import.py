"""The parts of a configuration file, from the database and into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.company.company import Company, CompanyDraft, check_company
from cgcore.documents import DOCUMENT_TYPES, DocumentType, types_with_template
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.identity.tokens import normalise_username, username_key
from cgcore.mail.account import StoredAccount, account_to_json, changed_targets, check_account
from cgcore.portable.content import Content, Fields, UserContent, read_account
from cgcore.portable.reading import portable_text, refuse, refuse_with
from cgcore.series.guards import check_default
from cgcore.series.series import SeriesDraft, check_draft
from cgcore.storage import company as company_store
from cgcore.storage import identity as user_store
from cgcore.storage import series as defaults_store
from cgcore.storage import series as series_store
from cgcore.storage import templates as store
from cgcore.storage.mail_accounts import find_account, put_account
from cgcore.storage.tables import UserRow
from cgcore.texts import Text
from cgcore.workbench.company import prepare_logo
from cgcore.workbench.identity import NewUser
from cgcore.workbench.templates import clean_subject, clean_text

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = [
    "UserImport",
    "export_company",
    "export_series",
    "export_templates",
    "export_user",
    "import_company",
    "import_company_series",
    "import_series",
    "import_templates",
    "list_changes",
    "note_orphans",
]

# A default outlives a series that is switched off, loses the type or is deleted: flagged, and never replaced. So it
# outlives an export too. Any other guard that refuses is refused here as well.
_ORPHANED = 1


def list_changes(
    stored: Mapping[DocumentType, str], wanted: Mapping[DocumentType, str]
) -> dict[DocumentType, str | None]:
    """Return what of ``stored`` becomes something else; None: that choice goes."""
    return {kind: wanted.get(kind) for kind in {*stored, *wanted} if wanted.get(kind) != stored.get(kind)}


def note_orphans(
    session: Session, changed: Mapping[DocumentType, str | None], place: str, *, year: int
) -> Iterable[Text]:
    """Yield a sentence for each new default that comes as an orphan, or raise the refusal of a forbidden one.

    ``place`` is that of the defaults in the file.
    """
    for kind, code in changed.items():
        if code is None:
            continue
        series = series_store.load_series(session, [code]).get(code)
        for finding in check_default(kind, code, series, year=year):
            if finding.blocks and finding.rule != _ORPHANED:
                raise refuse_with(f"{place}.{kind.value}", finding.text)
            if finding.blocks:
                yield portable_text("orphan_kept", lugar=f"{place}.{kind.value}", motivo=finding.text)


_TYPES = {entry.code.value: entry.code for entry in types_with_template()}


def export_templates(session: Session, user_id: int) -> dict[str, Any]:
    """Return ``templates`` and ``signature`` of a user as they stand in a file; built-in ones are left out."""
    rows = store.list_templates(session, user_id)
    signature = store.find_signature(session, user_id)
    return {
        "templates": {
            name: {"subject": rows[name].subject, "body": rows[name].body} for name in _TYPES if name in rows
        },
        "signature": {"html": signature.html} if signature else None,
    }


def import_templates(
    session: Session,
    user_id: int,
    place: str,
    *,
    templates: Mapping[str, Any] | None,
    signature: Mapping[str, Any] | None,
    now: datetime,
) -> None:
    """Replace a user's templates, signature, or both by those of a file; None leaves that part alone.

    A type that ``templates`` does not name goes back to the built-in one; what is replaced stays in the history.
    Markup is cleaned as a save cleans it. Raises :class:`cgcore.portable.reading.Refused`.
    """
    if templates is not None:
        _replace_templates(session, user_id, _read_templates(templates, f"{place}.templates"), now)
    if signature is not None:
        at = f"{place}.signature"
        html = _cleaned("signature", Fields(signature, at, ("html",)).long_text("html"), at)
        row = store.find_signature(session, user_id)
        if row is None or row.html != html:
            store.save_signature(session, user_id, html=html, now=now)
    session.flush()


def _read_templates(templates: Mapping[str, Any], place: str) -> dict[DocumentType, tuple[str, str]]:
    parts: dict[DocumentType, tuple[str, str]] = {}
    for name, value in templates.items():
        at = f"{place}.{name}"
        if name not in _TYPES:
            raise refuse(at, "unknown_field")
        fields = Fields(value, at, ("subject", "body"))
        typed = fields.text("subject")
        try:
            subject = clean_subject(typed)
        except InvalidInput as refused:
            raise refuse_with(f"{at}.subject", refused.problems[0].text) from None
        parts[_TYPES[name]] = (subject, _cleaned("body", fields.long_text("body"), f"{at}.body"))
    return parts


def _cleaned(field: str, html: str, place: str) -> str:
    try:
        return clean_text(field, html)
    except InvalidInput as refused:
        raise refuse_with(place, refused.problems[0].text) from None


def _replace_templates(
    session: Session, user_id: int, parts: Mapping[DocumentType, tuple[str, str]], now: datetime
) -> None:
    rows = store.list_templates(session, user_id)
    for entry in types_with_template():
        row = rows.get(entry.code.value)
        if entry.code not in parts:
            if row is not None:
                session.delete(row)
            continue
        subject, body = parts[entry.code]
        if row is None or (row.subject, row.body) != (subject, body):
            store.save_template(session, user_id, entry.code, subject=subject, body=body, now=now)


def export_user(session: Session, row: UserRow, *, only_templates: bool = False) -> dict[str, Any]:
    """Return one user of a file: particulars, mail account without password, templates, signature, defaults."""
    user_id = row.id or 0
    templates = export_templates(session, user_id)
    if only_templates:
        return {"name": row.username, **templates}
    account = find_account(session, user_id)
    own = defaults_store.load_own_defaults(session, user_id)
    return {
        "name": row.username,
        "full_name": row.full_name,
        "mail": row.mail,
        "role": row.role,
        # Said of whom it is not so: everybody else may log in.
        **({} if row.active else {"active": False}),
        "mail_account": account_to_json(account.draft) if account else None,
        **templates,
        "series_defaults": {entry.code.value: own[entry.code] for entry in DOCUMENT_TYPES if entry.code in own},
    }


class UserImport:
    """Brings users of a file in, within the caller's transaction. ``notes`` and ``dropped`` are read afterwards."""

    def __init__(self, workbench: Workbench, session: Session, actor: Actor) -> None:
        self._workbench, self._session, self._actor = workbench, session, actor
        self.notes: list[Text] = []
        self.dropped: list[int] = []
        """Users whose stored mail password has to go, once the transaction stands."""
        self.ended: list[str] = []
        """Log-ins that have ended with their account."""

    def find_or_add(self, content: UserContent) -> UserRow:
        """Return the user that ``content`` speaks of with its particulars stored, a new one where there is none."""
        row = user_store.find_user_by_key(self._session, username_key(content.name))
        is_new = row is None
        row = row or UserRow(
            username=normalise_username(content.name),
            username_key=username_key(content.name),
            created=self._workbench.clock(),
        )
        before = (row.full_name, row.mail, row.role)
        row.full_name = row.full_name if content.full_name is None else content.full_name
        row.mail = row.mail if content.mail is None else content.mail
        row.role = content.role or row.role
        _refuse_problems(content.place, NewUser(row.username, full_name=row.full_name, mail=row.mail))
        if is_new or before != (row.full_name, row.mail, row.role):
            row.version += not is_new
            self._session.add(row)
            self._session.flush()
        if is_new:
            self.notes.append(portable_text("password_needed", nombre=row.username))
            self._workbench.activity.record(self._actor, Action.USER_ADDED, row.username, session=self._session)
        if content.active is not None and content.active != row.active:
            self.ended += self._workbench.identity.switch_account(
                self._session, self._actor, row, active=content.active
            )
        return row

    def bring_parts(self, row: UserRow, content: UserContent) -> None:
        """Store mail account, templates and signature of ``content``; its series defaults are another step."""
        if content.mail_account is not None:
            self._bring_account(row, content.place, content.mail_account)
        import_templates(
            self._session,
            row.id or 0,
            content.place,
            templates=content.templates,
            signature=content.signature,
            now=self._workbench.clock(),
        )

    def bring_defaults(self, row: UserRow, content: UserContent) -> None:
        """Replace a user's own default series by those of the file; each new one is judged by the guards."""
        if content.series_defaults is None:
            return
        changed = list_changes(defaults_store.load_own_defaults(self._session, row.id or 0), content.series_defaults)
        place, year = f"{content.place}.series_defaults", self._workbench.clock().year
        self.notes += note_orphans(self._session, changed, place, year=year)
        defaults_store.save_own_defaults(self._session, row.id or 0, changed)

    def _bring_account(self, row: UserRow, place: str, value: Mapping[str, Any]) -> None:
        at, user_id = f"{place}.mail_account", row.id or 0
        draft = read_account(value, at)
        for problem in check_account(draft):
            if problem.blocking:
                raise refuse_with(f"{at}.{problem.field}", problem.text)
        stored = find_account(self._session, user_id, lock=True) or StoredAccount()
        if stored.version and account_to_json(stored.draft) == account_to_json(draft):
            return
        # A stored password is for the user and server it was typed for, and for nobody else.
        drops = stored.password_set and bool(changed_targets(stored.draft, draft))
        if drops:
            self.dropped.append(user_id)
            self.notes.append(portable_text("password_dropped", nombre=row.username))
        account = StoredAccount(
            draft=draft,
            password_set=stored.password_set and not drops,
            password_mark="" if drops else stored.password_mark,
            version=stored.version + 1,
        )
        put_account(self._session, user_id, account, self._workbench.clock())
        self._session.flush()


def _refuse_problems(place: str, user: NewUser) -> None:
    problems = user.list_problems()
    if problems:
        raise InvalidInput(*problems) if not place else refuse_with(f"{place}.{problems[0].field}", problems[0].text)


_BATCH = 1000


def export_company(session: Session) -> dict[str, Any]:
    """Return the company with its default series."""
    company = company_store.load_company(session).as_json()
    company.pop("version")
    defaults = defaults_store.load_company_defaults(session)
    company["series"] = {entry.code.value: defaults[entry.code] for entry in DOCUMENT_TYPES if entry.code in defaults}
    return company


def export_series(session: Session) -> list[dict[str, Any]]:
    """Return every series by code."""
    found: list[dict[str, Any]] = []
    after = ""
    while batch := series_store.list_series(session, text="", active=None, after=after, limit=_BATCH):
        for series in batch:
            value = series.as_json()
            value.pop("version")
            found.append(value)
        after = batch[-1].code
    return found


def import_series(workbench: Workbench, session: Session, drafts: tuple[SeriesDraft, ...]) -> None:
    """Add the series that are missing and replace those that differ; others stay."""
    year = workbench.clock().year
    for index, draft in enumerate(drafts):
        stored = series_store.find_series(session, draft.code)
        if stored is not None and stored.code != draft.code:
            raise refuse(f"series[{index}].code", "other_case", nombre=stored.code)
        for problem in check_draft(draft, series_store.load_counters(session, draft.code), year=year):
            # A series without types can be stored (all taken away), so it can be brought back as well.
            if problem.blocking and problem.code != "no_types":
                raise refuse_with(f"series[{index}].{problem.field}", problem.text)
        if stored is None:
            series_store.add_series(session, draft)
        elif _differs(draft, stored.as_json()):
            series_store.save_series(session, draft, stored.version)
            session.expire_all()


def import_company(session: Session, value: Mapping[str, Any]) -> None:
    """Replace the company's particulars and logo, unless they are the same."""
    before = company_store.load_company(session)
    draft = CompanyDraft(value["name"], value["tax_id"], value["address"]).normalised()
    if not _same_company(before, draft, value["logo"]):
        # An installation whose company has no name yet exports it so, and takes it back.
        problems = check_company(draft) if any((draft.name, draft.tax_id, draft.address, value["logo"])) else ()
        if problems:
            raise refuse_with(f"company.{problems[0].field}", problems[0].text)
        company_store.save_company(session, draft, _logo(value["logo"]), keep_logo=False)


def import_company_series(workbench: Workbench, session: Session, content: Content) -> list[Text]:
    """Replace the company's default series; each new one is judged by the guards. Return what to know about them."""
    if content.company_series is None:
        return []
    changed = list_changes(defaults_store.load_company_defaults(session), content.company_series)
    notes = list(note_orphans(session, changed, "company.series", year=workbench.clock().year))
    defaults_store.save_company_defaults(session, changed)
    return notes


def _differs(draft: SeriesDraft, stored: Mapping[str, Any]) -> bool:
    numbers = {kind.value: number for kind, number in draft.next_numbers.items()}
    wanted = (draft.name, draft.kind.value, draft.active, numbers)
    return wanted != (stored["name"], stored["kind"], stored["active"], stored["document_types"])


def _same_company(stored: Company, draft: CompanyDraft, logo: str) -> bool:
    uri = stored.logo.as_data_uri() if stored.logo else ""
    return (stored.name, stored.tax_id, stored.address, uri) == (draft.name, draft.tax_id, draft.address, logo)


def _logo(uri: str) -> Any:
    from cgcore.templates.images import decode

    if not uri:
        return None
    data = decode(uri)
    if data is None:
        raise refuse("company.logo", "wrong_value", valor=uri)
    try:
        return prepare_logo(data)
    except InvalidInput as refused:
        raise refuse_with("company.logo", refused.problems[0].text) from None
