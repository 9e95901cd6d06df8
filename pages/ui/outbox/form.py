"""The fields of one document, and what is wrong with each, said beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.errors import FieldProblem
from cgcore.identity.actor import Actor
from cgcore.mail.attachments import list_doubts
from cgcore.mail.message import Attachment
from cgcore.mail.outgoing import encoded_size, wire_names
from cgcore.outbox.saved import SavedFields
from cgcore.outbox.states import Kind
from cgcore.templates.checks import Check, Code, Field
from cgcore.templates.variables import list_variables
from cgcore.text_rules import MAX_NAME, text_problem
from cgcore.texts import join
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.outbox.describe import refusal_text
from pages.ui.editor import rich_text
from pages.ui.markdown import escape
from pages.ui.outbox.draft import GIVEN, PAGE, RECEIPT, DocumentFields, name_adviser
from pages.ui.outbox.preferences import draw_preferences
from pages.ui.problems import list_problems
from pages.ui.tab import is_held
from pages.ui.texts import common
from pages.ui.texts import mail_account as account_texts
from pages.ui.texts import send_document as texts
from pages.ui.texts import sending_defaults as editor_texts
from pages.ui.uploads import count_coming, forget_coming

__all__ = ["DocumentForm", "draw_doubts", "tells_coming"]

_BETWEEN = re.compile(r"[;,\n]")
_COLUMNS = 2
_DOUBTS = 20  # told of one by one
_NAMED = 5


class DocumentForm:
    """The form of one run: drawn when it is made; ``request`` is what stands in it, ``kept`` that as it was typed.

    ``files`` are those of the document put aside that are still with it.
    """

    def __init__(self, workbench: Workbench, actor: Actor, fields: DocumentFields) -> None:
        self._fields = fields
        self._places: dict[str, DeltaGenerator] = {}
        self._labels: dict[str, str] = {}
        self.files: Sequence[Attachment] = ()
        kind, series, number = self._draw_document(workbench, actor)
        lines = {"number": number, **self._draw_people(workbench, actor, kind)}
        with st.container(horizontal=True, vertical_alignment="bottom", key=f"{PAGE}_options_row"):
            copied = self._draw_adviser(workbench, actor, kind)
            receipt = self._draw_receipt()
            draw_preferences(workbench, actor)
        variables = self._draw_variables(kind)
        subject, body = self._draw_texts(kind)
        files = self._draw_files(workbench, actor)
        self.kept = self._keep(kind, series, lines, variables)
        self.request = DocumentRequest(
            document_type=kind,
            series=series,
            number=number.strip(),
            customer=lines["customer"].strip(),
            to=_addresses(lines["to"]),
            cc=[*_addresses(lines["cc"]), *copied.get(Kind.CC, ())],
            bcc=[*_addresses(lines["bcc"]), *copied.get(Kind.BCC, ())],
            variables=variables,
            subject=subject,
            body=body,
            read_receipt=receipt,
            delay_s=workbench.outbox.preferences.get(actor).undo_s,
            attachments=files,
        )

    def _keep(
        self, kind: DocumentType, series: str, lines: Mapping[str, str], variables: Mapping[str, str]
    ) -> SavedFields:
        typed = {**lines, **{f"variables.{name}": text for name, text in variables.items()}}
        own = [draft.value if draft.is_changed else None for draft in self._fields.texts_of(kind)]
        adviser, receipt = (self._fields.chosen(name) for name in (name_adviser(kind), RECEIPT))
        return SavedFields(kind.value, series, typed, *own, adviser=adviser, read_receipt=receipt)

    def tell(self, problems: Iterable[FieldProblem]) -> None:
        """Say what is wrong, each beside its field; below the form what belongs to none."""
        for problem in problems:
            with self._place_of(problem.field):
                list_problems([problem], problem.field)

    def tell_checks(self, checks: Sequence[Check]) -> None:
        """Say what the message would be like: beside subject and body, or beside the field that a text finds empty."""
        told: dict[tuple[str, str], FieldProblem] = {}
        for check in checks:
            empty = self._find_empty(check)
            field = empty or ("subject" if check.field is Field.SUBJECT else "body")
            text = texts.text("USED_EMPTY") if empty else check.text
            told.setdefault((field, str(text)), FieldProblem(field, check.code.value, text, check.blocks))
        self.tell(told.values())

    def name_empty(self, checks: Sequence[Check]) -> Sequence[str]:
        """Return the labels of the fields that are empty where a text uses them, each once."""
        found = (self._find_empty(check) for check in checks)
        return list(dict.fromkeys(self._labels[field] for field in found if field))

    def _find_empty(self, check: Check) -> str:
        """Return the field whose emptiness a check tells of, ``""`` where it tells of something else."""
        if check.code is not Code.EMPTY_VALUE:
            return ""
        field = "customer" if check.variable == "cliente" else f"variables.{check.variable}"
        return field if field in self._places else ""

    def _place_of(self, field: str) -> DeltaGenerator:
        known = self._places
        whole, first = known.get(field), known.get(field.partition(".")[0])
        return whole or first or known["attachments"]

    def _line(self, label: str, field: str, *, help: str | None = None, placeholder: str | None = None) -> str:
        key = self._fields.key(field)
        value = str(self._fields.value(field) or "")
        text = st.text_input(label, value, key=key, help=help, placeholder=placeholder, persist_state="session")
        self._places[field], self._labels[field] = st.container(gap="xxsmall"), label
        return text or ""

    def _draw_adviser(self, workbench: Workbench, actor: Actor, kind: DocumentType) -> Mapping[Kind, Sequence[str]]:
        """Draw whether the adviser gets a copy of this one: as it was chosen for the type, until it is changed here."""
        preferences = workbench.outbox.preferences.get(actor)
        how = preferences.copy_kind(kind.value)
        wanted = bool(preferences.adviser) and st.toggle(
            texts.ADVISER_COPY, help=escape(preferences.adviser), **self._fields.widget(name_adviser(kind))
        )
        return {how or Kind.CC: (preferences.adviser,)} if wanted else {}

    def _draw_receipt(self) -> bool:
        """Draw whether this one asks its reader to confirm it: as the account does, until it is changed here."""
        asked = st.segmented_control(
            account_texts.READ_RECEIPT,
            (True, False),
            format_func=lambda asked: common.YES if asked else common.NO,
            required=True,
            help=account_texts.READ_RECEIPT_HELP,
            **self._fields.choice(RECEIPT),
        )
        return bool(asked)

    def _draw_people(self, workbench: Workbench, actor: Actor, kind: DocumentType) -> Mapping[str, str]:
        """Draw who the document is for; return each line as it was typed, by its name."""
        customer = self._line(texts.CUSTOMER, "customer")
        with st.container(gap="xxsmall"):
            self._offer_addresses(workbench, actor, kind, customer.strip())
        to = self._line(texts.TO, "to", help=texts.SEVERAL)
        copies, hidden = st.columns(2)
        with copies:
            cc = self._line(texts.CC, "cc", help=texts.SEVERAL)
        with hidden:
            bcc = self._line(texts.BCC, "bcc", help=texts.SEVERAL)
        return {"customer": customer, "to": to, "cc": cc, "bcc": bcc}

    def _offer_addresses(self, workbench: Workbench, actor: Actor, kind: DocumentType, customer: str) -> None:
        """Offer whom the last document of this customer went to, while nobody is named yet."""
        key = self._fields.key("to")
        if not customer or text_problem("customer", customer, MAX_NAME) or st.session_state.get(key):
            return
        known = workbench.outbox.recall_recipients(actor, kind, customer)
        named = {which: "; ".join(each.address for each in known if each.kind is which) for which in (Kind.TO, Kind.CC)}
        if not named[Kind.TO]:
            return
        told = join(each.address for each in known if each.kind is not Kind.BCC)
        if st.button(escape(texts.USE_LAST.format(addresses=told)), icon=":material/history:", key=f"{PAGE}_last"):
            st.session_state[key] = named[Kind.TO]
            if named[Kind.CC]:
                st.session_state[self._fields.key("cc")] = named[Kind.CC]
            st.rerun()

    def _draw_document(self, workbench: Workbench, actor: Actor) -> tuple[DocumentType, str, str]:
        kinds = [entry.code for entry in types_with_template()]
        _name_type(kinds)
        first, second, third = st.columns([3, 2, 2])
        with first:
            kind = st.selectbox(
                texts.TYPE,
                kinds,
                index=kinds.index(st.session_state.get(f"{PAGE}_type", DocumentType.SALES_INVOICE)),
                format_func=lambda code: info(code).noun,
                key=f"{PAGE}_type",
                persist_state="session",
            )
            self._places["type"] = st.container(gap="xxsmall")
        with second:
            series = self._draw_series(workbench, actor, kind)
        with third:
            number = self._line(texts.NUMBER, "number")
        return kind, series, number

    def _draw_series(self, workbench: Workbench, actor: Actor, kind: DocumentType) -> str:
        rows = workbench.series.defaults.get(actor).rows
        row = next(each for each in rows if each.document_type is kind)
        codes = list(dict.fromkeys([*([row.effective] if row.effective else []), *(code for code, _ in row.options)]))
        key = f"{PAGE}_series_{kind}"
        if not row.more and st.session_state.get(key) not in (None, *codes):
            # Chosen in a draft of before, and not offered any more.
            del st.session_state[key]
        chosen = st.session_state.get(key, row.effective)
        series = st.selectbox(
            texts.SERIES,
            codes,
            index=codes.index(chosen) if chosen in codes else None,
            # Not all are offered where there are many.
            accept_new_options=row.more,
            placeholder="",
            key=key,
            persist_state="session",
        )
        self._places["series"] = st.container(gap="xxsmall")
        return str(series or "")

    def _draw_variables(self, kind: DocumentType) -> Mapping[str, str]:
        known = [variable for variable in list_variables(kind) if variable.name not in GIVEN]
        written: dict[str, str] = {}
        # Row by row: a phone shows one column under the other. What stands alone in the last row has all of it.
        rows = [st.columns(min(_COLUMNS, len(known) - first)) for first in range(0, len(known), _COLUMNS)]
        for column, variable in zip((each for row in rows for each in row), known, strict=False):
            with column:
                field = f"variables.{variable.name}"
                sample = texts.SAMPLE.format(sample=variable.sample)
                written[variable.name] = self._line(variable.label, field, placeholder=sample).strip()
        return {name: value for name, value in written.items() if value}

    def _draw_texts(self, kind: DocumentType) -> tuple[str, str]:
        subject, body = self._fields.texts_of(kind)
        if not is_held(subject.key):
            st.session_state.setdefault(subject.key, subject.value)
        st.text_input(texts.SUBJECT, key=subject.key, value=subject.value)
        self._places["subject"] = st.container(gap="xxsmall")
        st.markdown(texts.BODY, help=editor_texts.EDITOR_HELP)
        with st.container(border=True, key=f"{PAGE}_{kind}_editor", gap=None):
            rich_text(
                body.seed,
                key=body.key,
                label=texts.BODY,
                placeholder=editor_texts.EDITOR_PLACEHOLDER,
                variables=list_variables(kind),
                subject=f"{subject.name}-",
            )
        self._places["body"] = st.container(gap="xxsmall")
        st.caption(f":material/edit: {texts.ONLY_HERE}")
        subject.collect()
        body.collect()
        return subject.value, body.value

    def _draw_files(self, workbench: Workbench, actor: Actor) -> Sequence[Attachment]:
        uploaded = st.file_uploader(
            texts.FILES, accept_multiple_files=True, key=self._fields.key("files"), help=texts.FILES_HELP
        )
        self.files = self._choose_files()
        files = [*self.files, *(Attachment(each.name, each.type, each.getvalue()) for each in uploaded or [])]
        if files:
            _draw_weight(sum(encoded_size(len(each.data)) for each in files), workbench.outbox.known_limit(actor))
            _draw_names(files)
            draw_doubts(files)
        self._places["attachments"] = st.container(gap="xxsmall")
        return files

    def _choose_files(self) -> Sequence[Attachment]:
        """Draw the files that were put aside with the document; each can be left out."""
        files = self._fields.draft.files
        if not files:
            return ()
        places = range(len(files))
        chosen = st.multiselect(
            texts.KEPT_FILES,
            places,
            places,
            format_func=lambda place: files[place].filename,
            key=f"{self._fields.key('kept')}-{self._fields.draft.files_of}",
        )
        return [files[place] for place in sorted(chosen)]


def draw_doubts(files: Sequence[Attachment]) -> None:
    """Draw which files may not be what they are called, or may not arrive; of very many how many more there are."""
    doubts = list_doubts(files)
    list_problems(doubts[:_DOUBTS], "attachments")
    if len(doubts) > _DOUBTS:
        st.markdown(f":orange[:material/warning: {texts.AND_MORE.format(count=len(doubts) - _DOUBTS)}]")


def tells_coming() -> bool:
    """Return whether files of this tab are still on their way, which then is said: nothing leaves without them."""
    coming = count_coming()
    if coming:
        st.warning(texts.COMING.format(count=coming), icon=":material/hourglass_top:")
        st.button(texts.NOT_WAIT.format(count=coming), key=f"{PAGE}_not_wait", on_click=forget_coming)
    return coming > 0


def _name_type(kinds: Sequence[DocumentType]) -> None:
    """A draft keeps the name of the type."""
    key = f"{PAGE}_type"
    if key in st.session_state and st.session_state[key] not in kinds:
        st.session_state[key] = DocumentType.__members__.get(str(st.session_state[key]), DocumentType.SALES_INVOICE)


def _draw_weight(size: int, limit: int) -> None:
    if limit:
        st.progress(min(1.0, size / limit), text=texts.WEIGHT_OF.format(size=size, limit=limit))
        if size > limit:
            st.markdown(f":red[:material/error: {refusal_text('message_too_large')}]")
    else:
        st.caption(texts.WEIGHT.format(size=size))


def _draw_names(files: Sequence[Attachment]) -> None:
    """Draw the files as they will arrive; many are folded, what follows them stays in sight."""
    told = (
        texts.ARRIVES.format(name=name, size=len(each.data))
        for name, each in zip(wire_names(files), files, strict=True)
    )
    lines = "\n".join(f"- {escape(line)}" for line in told)
    if len(files) <= _NAMED:
        st.caption(lines)
        return
    with st.expander(texts.SAVED_FILES.format(count=len(files)), type="compact"):
        st.caption(lines)


def _addresses(written: str) -> Sequence[str]:
    return [part.strip() for part in _BETWEEN.split(written) if part.strip()]
