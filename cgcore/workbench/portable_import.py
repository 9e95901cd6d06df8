"""What a configuration file would change, decided over a snapshot, and the writing of it.

Deciding reads no database and writes nothing: markup is cleaned, images are decoded and texts are compared before
anybody has to wait for it. What is left for the transaction is a list of writes.

Apart from :mod:`cgcore.workbench.portable`: it opens no transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cgcore.company.company import CompanyDraft, Logo, check_company
from cgcore.documents import DocumentType, types_with_template
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.tokens import normalise_username, username_key
from cgcore.mail.account import AuthKind, StoredAccount, changed_targets, check_account
from cgcore.portable.changes import Change, compare
from cgcore.portable.content import Content, Fields, UserContent, read_account
from cgcore.portable.reading import portable_text, refuse, refuse_with
from cgcore.series.guards import check_default
from cgcore.series.series import Counter, Series, SeriesDraft, check_draft, code_key
from cgcore.storage import company as company_store
from cgcore.storage import series as series_store
from cgcore.storage import templates as template_store
from cgcore.storage.mail_presets import replace_presets
from cgcore.storage.snapshot import Snapshot, UserState
from cgcore.storage.tables import UserRow
from cgcore.templates.stored import detach
from cgcore.texts import Text
from cgcore.workbench import portable_writes as writes
from cgcore.workbench.company import prepare_logo
from cgcore.workbench.identity import NewUser
from cgcore.workbench.portable_export import (
    export_account,
    export_company,
    export_defaults,
    export_presets,
    export_series,
    export_user,
)
from cgcore.workbench.portable_writes import Writing
from cgcore.workbench.templates import clean_subject, clean_text

__all__ = ["Decision", "decide", "decide_for"]

# A default outlives a series that is switched off, loses the type or is deleted: flagged, and never replaced. So it
# outlives an export too. Any other guard that refuses is refused here as well.
_ORPHANED = 1
_TYPES = {entry.code.value: entry.code for entry in types_with_template()}


@dataclass(slots=True)
class Decision:
    """What an import changes, what to know about it, and the writes that do it, in their order."""

    changes: list[Change] = field(default_factory=list[Change])
    notes: list[Text] = field(default_factory=list[Text])
    writes: list[Callable[[Writing], None]] = field(default_factory=list[Callable[[Writing], None]])


def decide(found: Snapshot, content: Content, *, now: datetime) -> Decision:
    """Return what bringing a whole file into the installation means.

    Raises :class:`cgcore.portable.reading.Refused` with the place of the first fault, and :class:`InvalidInput`
    (``last_admin``) where nobody would be left to administer.
    """
    made = _Making(found, now)
    made.bring_series(content.series)
    made.bring_company(content)
    for user in content.users:
        made.bring_user(user)
    if found.active_admins and not made.admins:
        raise InvalidInput(FieldProblem.of("cgcore.identity", "users", "last_admin"))
    return made.decision


def decide_for(found: Snapshot, state: UserState, user: UserContent, *, now: datetime) -> Decision:
    """Return what bringing the parts of the file's ``user`` to one user means: everything but their particulars."""
    made = _Making(found, now)
    made.bring_parts(state, user, name=portable_text("of_user", nombre=state.row.username))
    return made.decision


class _Making:
    """A decision in the making. ``series`` (by code) and ``admins`` are as they will be."""

    def __init__(self, found: Snapshot, now: datetime) -> None:
        self.found, self.now = found, now
        self.decision = Decision()
        self.series = {series.code: series for series in found.series}
        self.codes = {code_key(series.code): series.code for series in found.series}
        self.admins = set(found.active_admins)

    def bring_series(self, drafts: tuple[SeriesDraft, ...]) -> None:
        """Add the series that are missing and replace those that differ; others stay."""
        for index, draft in enumerate(drafts):
            known = self.codes.get(code_key(draft.code))
            if known is not None and known != draft.code:
                raise refuse(f"series[{index}].code", "other_case", nombre=known)
            counters = self.found.counters.get(draft.code, {})
            # What could be stored once can be brought back: its code counts as one that stands there.
            for problem in check_draft(draft, counters, year=self.now.year, stored_code=draft.code):
                # A series without types can be stored (all taken away), so it can be brought back as well.
                if problem.blocking and problem.code != "no_types":
                    raise refuse_with(f"series[{index}].{problem.field}", problem.text)
            self._bring_one_series(draft)

    def _bring_one_series(self, draft: SeriesDraft) -> None:
        stored = self.series.get(draft.code)
        after = _as_series(draft, stored)
        before = export_series(stored) if stored else {}
        changes = list(compare(portable_text("of_series", nombre=draft.code), before, export_series(after)))
        if stored is None:
            self._add(changes, lambda writing: series_store.add_series(writing.session, draft))
        elif changes:
            self._add(changes, lambda writing: writes.save_series(writing.session, draft, stored.version))
        self.series[draft.code] = after
        self.codes[code_key(draft.code)] = draft.code

    def bring_company(self, content: Content) -> None:
        """Replace the company's particulars, logo and default series, where they are not the same."""
        if content.company is None:
            return
        company, wanted = self.found.company, content.company_series or {}
        draft = CompanyDraft(**{name: content.company[name] for name in ("name", "tax_id", "address")}).normalised()
        before = export_company(company, self.found.company_defaults, self.found.mail_presets)
        after = {**before, "name": draft.name, "tax_id": draft.tax_id, "address": draft.address}
        if (content.company["logo"] or None) != before["logo"] or after != before:
            logo = self._judged_logo(draft, content.company["logo"])
            after["logo"] = logo.as_data_uri() if logo else None
            if after != before:
                self._add([], lambda writing: company_store.save_company(writing.session, draft, logo, keep_logo=False))
        changed = self._judged_defaults(self.found.company_defaults, wanted, "company.series")
        after["series"] = export_defaults(wanted)
        if (presets := content.mail_presets) is not None:
            after.pop("mail_servers", None)
            after |= export_presets(presets)
            if after.get("mail_servers") != before.get("mail_servers"):
                self._add([], lambda writing: replace_presets(writing.session, presets, writing.now))
        if changed:
            self._add([], lambda writing: series_store.save_company_defaults(writing.session, changed))
        self.decision.changes[:0] = compare(portable_text("of_company"), before, after)

    def _judged_logo(self, draft: CompanyDraft, uri: str) -> Logo | None:
        # An installation whose company has no name yet exports it so, and takes it back.
        problems = check_company(draft) if any((draft.name, draft.tax_id, draft.address, uri)) else ()
        if problems:
            raise refuse_with(f"company.{problems[0].field}", problems[0].text)
        return _read_logo(uri)

    def bring_user(self, content: UserContent) -> None:
        """Add or change one user with every part that the file tells of."""
        key = username_key(content.name)
        stored = self.found.users.get(key)
        state = stored or UserState(
            UserRow(username=normalise_username(content.name), username_key=key, created=self.now)
        )
        row = state.row
        full_name = row.full_name if content.full_name is None else content.full_name.strip()
        mail = row.mail if content.mail is None else content.mail.strip()
        role = content.role or row.role
        active = row.active if content.active is None else content.active
        _refuse_problems(content.place, NewUser(row.username, full_name=full_name, mail=mail))
        particulars = {"full_name": full_name, "mail": mail, "role": role}
        if stored is None:
            self.decision.notes.append(portable_text("password_needed", nombre=row.username))
            self._add([], lambda writing: writes.add_user(writing, row, particulars))
        elif particulars != {name: getattr(row, name) for name in particulars}:
            self._add([], lambda writing: writes.change_user(writing.session, row, particulars))
        if active != row.active:
            self._add([], lambda writing: writing.switch(row, active))
        (self.admins.add if role == "admin" and active else self.admins.discard)(key)
        told = {**particulars, **({} if active else {"active": False})}
        self.bring_parts(
            state, content, name=portable_text("of_user", nombre=row.username), particulars=told, is_new=stored is None
        )

    def bring_parts(
        self,
        state: UserState,
        content: UserContent,
        *,
        name: Text,
        particulars: Mapping[str, Any] | None = None,
        is_new: bool = False,
    ) -> None:
        """Bring mail account, templates, signature and defaults; what the file does not tell of stays as it is."""
        before = export_user(state)
        after = dict(before)
        if particulars is not None:
            after.pop("active", None)
            after |= particulars
        if content.mail_account is not None:
            after["mail_account"] = self._bring_account(state, content)
        if (watched := content.mail_watch) is not None:
            after["mail_watch"] = None if watched else False  # on is what it is by itself
            if watched != state.watched:
                self._add([], lambda writing: writes.put_watch(writing, state.row, enabled=watched))
        if (searched := content.bounce_search) is not None:
            after["bounce_search"] = searched or None
            if searched != state.searched:
                self._add([], lambda writing: writes.put_search(writing, state.row, active=searched))
        if content.templates is not None:
            after["templates"] = self._bring_templates(state, content)
        if content.signature is not None:
            after["signature"] = self._bring_signature(state, content)
        if content.series_defaults is not None:
            at = f"{content.place}.series_defaults"
            changed = self._judged_defaults(state.defaults, content.series_defaults, at)
            after["series_defaults"] = export_defaults(content.series_defaults)
            if changed:
                own = series_store.save_own_defaults
                self._add([], lambda writing: own(writing.session, state.row.id or 0, changed))
        self._add(compare(name, {} if is_new else before, after))

    def _bring_account(self, state: UserState, content: UserContent) -> dict[str, Any]:
        at = f"{content.place}.mail_account"
        draft = read_account(content.mail_account, at)
        for problem in check_account(draft):
            if problem.blocking:
                raise refuse_with(f"{at}.{problem.field}", problem.text)
        stored = state.account or StoredAccount()
        wanted = export_account(draft)
        if stored.version and export_account(stored.draft) == wanted:
            return wanted
        # A stored password is for the user and server it was typed for, and for nobody else.
        drops = stored.password_set and bool(changed_targets(stored.draft, draft))
        # A connection is for one mailbox at one provider; what it is for is asked for anew in a browser.
        ends = state.connection is not None and not state.connection.is_of(draft)
        if ends:
            self.decision.notes.append(portable_text("disconnected", nombre=state.row.username))
        elif draft.auth is not AuthKind.PASSWORD and state.connection is None:
            self.decision.notes.append(portable_text("not_connected", nombre=state.row.username))
        if drops:
            self.decision.notes.append(portable_text("password_dropped", nombre=state.row.username))
        account = replace(
            stored,
            draft=draft,
            password_set=stored.password_set and not drops,
            password_mark="" if drops else stored.password_mark,
            version=stored.version + 1,
        )
        self._add([], lambda writing: writes.put_account(writing, state.row, account, drops=drops, ends=ends))
        return wanted

    def _bring_templates(self, state: UserState, content: UserContent) -> dict[str, Any]:
        """A type that the file does not name goes back to the built-in one; what is replaced stays in the history."""
        parts = _read_templates(content.templates or {}, f"{content.place}.templates")
        for name, kind in _TYPES.items():
            if name not in parts:
                if name in state.templates:
                    self._add([], lambda writing, kind=kind: writes.drop_template(writing.session, state.row, kind))
            elif state.templates.get(name) != parts[name]:
                subject, text = parts[name][0], detach(parts[name][1])
                self._add(
                    [],
                    lambda writing, kind=kind, subject=subject, text=text: template_store.save_template(
                        writing.session, state.row.id or 0, kind, subject=subject, body=text, now=writing.now
                    ),
                )
        return {name: {"subject": parts[name][0], "body": parts[name][1]} for name in _TYPES if name in parts}

    def _bring_signature(self, state: UserState, content: UserContent) -> dict[str, Any]:
        at = f"{content.place}.signature"
        html = _cleaned("signature", Fields(content.signature, at, ("html",)).long_text("html"), at)
        if state.signature != html:
            text = detach(html)
            self._add(
                [],
                lambda writing: template_store.save_signature(
                    writing.session, state.row.id or 0, html=text, now=writing.now
                ),
            )
        return {"html": html}

    def _judged_defaults(
        self, stored: Mapping[DocumentType, str], wanted: Mapping[DocumentType, str], place: str
    ) -> dict[DocumentType, str | None]:
        """Return what becomes something else (None: that choice goes), each new one judged by the guards."""
        changed = {kind: wanted.get(kind) for kind in {*stored, *wanted} if wanted.get(kind) != stored.get(kind)}
        for kind, code in changed.items():
            if code is None:
                continue
            for finding in check_default(kind, code, self.series.get(code), year=self.now.year):
                at = f"{place}.{kind.value}"
                if finding.blocks and finding.rule != _ORPHANED:
                    raise refuse_with(at, finding.text)
                if finding.blocks:
                    self.decision.notes.append(portable_text("orphan_kept", lugar=at, motivo=finding.text))
        return changed

    def _add(self, changes: Iterator[Change] | list[Change], *writes: Callable[[Writing], Any]) -> None:
        self.decision.changes += changes
        self.decision.writes += writes


def _as_series(draft: SeriesDraft, stored: Series | None) -> Series:
    counters = {kind: Counter(number) for kind, number in draft.next_numbers.items()}
    used, version = (stored.used, stored.version + 1) if stored else (False, 1)
    return Series(draft.code, draft.name, draft.kind, draft.active, counters, used, version)


def _read_templates(templates: Mapping[str, Any], place: str) -> dict[str, tuple[str, str]]:
    parts: dict[str, tuple[str, str]] = {}
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
        parts[name] = (subject, _cleaned("body", fields.long_text("body"), f"{at}.body"))
    return parts


def _cleaned(name: str, html: str, place: str) -> str:
    try:
        return clean_text(name, html)
    except InvalidInput as refused:
        raise refuse_with(place, refused.problems[0].text) from None


def _read_logo(uri: str) -> Logo | None:
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


def _refuse_problems(place: str, user: NewUser) -> None:
    if problems := user.list_problems():
        raise refuse_with(f"{place}.{problems[0].field}", problems[0].text)
