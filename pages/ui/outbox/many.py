"""«Varios» before the yes: a sheet and files, how they are understood, what is asked, and what stays behind."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.message import Attachment
from cgcore.outbox.batch import BatchChoice, BatchPlan, Selection, select_rows
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.rows import DocumentRow
from cgcore.outbox.sheet import Sheet, SheetRefused, read_sheet
from cgcore.outbox.states import State
from cgcore.templates.checks import Severity
from cgcore.templates.variables import list_variables
from cgcore.texts import join, sentence
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.describe import refusal_text
from pages.ui.files import draw_download
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.outbox.draft import PAGE
from pages.ui.outbox.form import draw_doubts, tells_coming
from pages.ui.outbox.pace import draw_pace
from pages.ui.outbox.sending import draw_missing_account, draw_preview
from pages.ui.texts import send_document as texts

__all__ = ["ManyDraft", "draw_many", "draw_uploads", "load_many"]

_STATE = f"{PAGE}_many"
_SHOWN_ROWS, _NAMED, _ASKED_AT_ONCE = 5, 8, 50
_NO_FILE = -1


@dataclass(slots=True)
class ManyDraft:
    """What a tab remembers: ``key`` makes two clicks one batch, ``round`` counts the sheets, ``batch`` is looked at."""

    user_id: int
    round: int = 0
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    batch: str = ""

    def hand(self, batch: str) -> None:
        """Look at the batch that was made; the next one needs files and a key of its own."""
        self.batch, self.key = batch, secrets.token_hex(16)
        self.round += 1


@dataclass(frozen=True, slots=True)
class Uploads:
    """What was uploaded: a sheet, why that is none, files, and the names of those that hold nothing."""

    name: str
    sheet: Sheet | None
    refused: str
    files: Sequence[UploadedFile]
    empty: Sequence[str] = ()

    def attachment(self, place: int) -> Attachment:
        """Return a file as it goes."""
        each = self.files[place]
        return Attachment(each.name, each.type or "application/pdf", each.getvalue())


def load_many(actor: Actor) -> ManyDraft:
    """Return what this tab remembers of ``actor``."""
    draft: ManyDraft | None = st.session_state.get(_STATE)
    if draft is None or draft.user_id != actor.user_id:
        draft = st.session_state[_STATE] = ManyDraft(actor.user_id)
    return draft


def draw_uploads(draft: ManyDraft) -> tuple[DocumentType, Uploads]:
    """Draw type, sheet and files; also where the tab is closed, or they would be dropped."""
    kinds = [entry.code for entry in types_with_template()]
    kind = st.selectbox(
        texts.TYPE,
        kinds,
        index=kinds.index(DocumentType.SALES_INVOICE),
        format_func=lambda code: info(code).noun,
        key=f"{_STATE}_type",
        persist_state="session",
        width=300,
    )
    left, right = st.columns(2)
    with left:
        given = st.file_uploader(texts.SHEET, key=f"{_STATE}_sheet-{draft.round}", help=texts.SHEET_HELP)
    with right:
        files = st.file_uploader(
            texts.PDFS, accept_multiple_files=True, key=f"{_STATE}_files-{draft.round}", help=texts.PDFS_HELP
        )
    sheet, refused = None, ""
    if given is not None:
        try:
            sheet = read_sheet(given.getvalue())
        except SheetRefused as problem:
            refused = sentence("cgcore.outbox", f"sheet.{problem.code}")
    empty = [each.name for each in files or [] if not each.size]
    whole = [each for each in files or [] if each.size]
    return kind, Uploads(given.name if given else "", sheet, refused, whole, empty)


def draw_many(workbench: Workbench, actor: Actor, draft: ManyDraft, kind: DocumentType, uploads: Uploads) -> None:
    """Draw how the uploads are understood, and the button that hands them in."""
    names = [each.name for each in uploads.files]
    if uploads.refused:
        st.error(escape(uploads.refused), icon=":material/error:")
    elif uploads.sheet is None and names:
        st.info(texts.PDFS_ALONE, icon=":material/table_view:")
        draw_download(
            texts.SHEET_FOR_PDFS,
            lambda asking: workbench.batches.sheet_for(asking, kind, names),
            file_name=texts.SHEET_NAME,
            mime="text/csv",
            key=f"{_STATE}_template",
        )
    elif uploads.sheet is None:
        st.caption(texts.MANY_BEGIN)
    else:
        plan = workbench.batches.plan(actor, kind, uploads.sheet, names)
        if plan.columns.missing:
            words = join(texts["COLUMN_NAMES"][name] for name in plan.columns.missing)
            st.error(texts.COLUMNS_MISSING.format(columns=words), icon=":material/error:")
        else:
            _draw_plan(workbench, actor, draft, plan, uploads)


def _draw_plan(workbench: Workbench, actor: Actor, draft: ManyDraft, plan: BatchPlan, uploads: Uploads) -> None:
    lists = st.container()
    choice = BatchChoice(_ask_files(plan), _ask_again(plan), _ask_without(plan))
    selection = select_rows(plan, choice)
    with lists:
        _draw_lists(plan, selection)
        if plan.columns.unused:
            st.caption(escape(texts.COLUMNS_UNUSED.format(columns=join(plan.columns.unused))))
    if selection.going:
        st.markdown(f"**{texts.FIRST_ROWS}**")
        _draw_rows(plan, selection)
    _draw_doubts(selection, uploads)
    _draw_empty(workbench, actor, plan, selection)
    sound = _draw_example(workbench, actor, plan, selection, uploads)
    if problems := [row for row in plan.rows if row.problems]:
        with st.expander(
            texts.WITH_PROBLEMS.format(count=len(problems)), type="compact", expanded=len(problems) < _NAMED
        ):
            st.markdown("\n".join(f"- {_problem_line(row)}" for row in problems))
    _draw_yes(workbench, actor, draft, plan, selection, uploads, sound=sound)


def _draw_yes(
    workbench: Workbench,
    actor: Actor,
    draft: ManyDraft,
    plan: BatchPlan,
    selection: Selection,
    uploads: Uploads,
    *,
    sound: bool,
) -> None:
    count = len(selection.going)
    if sound:
        draw_pace(workbench, actor, [len(plan.rows[place].to) + len(plan.rows[place].cc) for place in selection.going])
    with st.container(horizontal=True, vertical_alignment="center", key=f"{_STATE}_actions"):
        asked = st.button(
            texts.SEND_MANY.format(count=count),
            type="primary",
            icon=":material/send:",
            key=f"{_STATE}_send",
            disabled=not count or not sound,
        )
        if selection.behind:
            st.caption(texts.STAY_BEHIND.format(count=len(selection.behind)))
    if asked and not tells_coming():
        used = set(selection.going.values())
        empty = Attachment("", "", b"")
        files = [uploads.attachment(place) if place in used else empty for place in range(len(uploads.files))]
        started = workbench.batches.start(
            actor,
            plan,
            selection,
            files,
            key=draft.key,
            name=uploads.name,
            delay_s=workbench.outbox.preferences.get(actor).undo_s,
        )
        draft.hand(started.id)
        st.rerun()


def _draw_lists(plan: BatchPlan, selection: Selection) -> None:
    matched = [place for place, file in selection.going.items() if file is not None]
    alone = [place for place in plan.matching.rows_alone if not plan.rows[place].problems]
    left = [plan.file_names[place] for place in plan.matching.files_alone]
    first, second, third = st.columns(3)
    with first:
        what = texts.GO if plan.file_names else texts.GO_WITHOUT
        count = len(matched) if plan.file_names else len(selection.going)
        _draw_list(texts.MATCHED if plan.file_names else texts.ROWS, count, what)
    with second:
        _draw_list(texts.PDF_ALONE, len(left), _some(left))
    with third:
        names = [_document(plan.rows[place]) for place in alone] if plan.file_names else []
        _draw_list(texts.ROW_ALONE, len(names), _some(names))


def _draw_list(title: str, count: int, told: str) -> None:
    with st.container(border=True):
        st.markdown(f"**{title} · {count}**  \n:small[:gray[{escape(told) if count else texts.NONE}]]")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return join([*names[:_NAMED], *([texts.AND_MORE.format(count=more)] if more > 0 else [])])


def _draw_rows(plan: BatchPlan, selection: Selection) -> None:
    shown = list(selection.going.items())[:_SHOWN_ROWS]
    rows = [plan.rows[place] for place, _ in shown]
    columns: dict[str, list[str]] = {
        texts.COLUMN_DOCUMENT: [f"{info(row.document_type).noun} {_document(row)}" for row in rows],
        texts.CUSTOMER: [row.customer for row in rows],
        texts.TO: [join(row.to) for row in rows],
    }
    for variable in dict.fromkeys(name for row in rows for name in row.variables):
        columns[variable.capitalize()] = [row.variables.get(variable, "") for row in rows]
    columns[texts.COLUMN_FILE] = [plan.file_names[file] if file is not None else "" for _, file in shown]
    st.dataframe(columns, hide_index=True, alt=texts.FIRST_ROWS, key=f"{_STATE}_rows")


def _draw_doubts(selection: Selection, uploads: Uploads) -> None:
    """Warn of files that go and may not be what they are called, and of those that hold nothing."""
    going = sorted({file for file in selection.going.values() if file is not None})
    draw_doubts([uploads.attachment(file) for file in going])
    if empty := uploads.empty:
        told = texts.EMPTY_FILES.format(count=len(empty), names=_some(empty))
        st.warning(escape(told), icon=":material/warning:")


def _draw_empty(workbench: Workbench, actor: Actor, plan: BatchPlan, selection: Selection) -> None:
    """Warn of what the texts use and some rows, or all of them, leave empty."""
    empty = workbench.batches.count_empty(actor, plan, selection)
    kinds = dict.fromkeys(plan.rows[place].document_type for place in selection.going)
    labels = {variable.name: variable.label for kind in kinds for variable in list_variables(kind)}
    told = [texts.EMPTY_IN.format(field=label, count=empty[name]) for name, label in labels.items() if empty.get(name)]
    if told:
        st.warning(texts.GOES_WITHOUT.format(fields=join(told)), icon=":material/warning:")


def _draw_example(workbench: Workbench, actor: Actor, plan: BatchPlan, selection: Selection, uploads: Uploads) -> bool:
    """Say what is wrong with the message of the first row, and show it where that is asked; False: it cannot go."""
    if not selection.going:
        return False
    place, file = next(iter(selection.going.items()))
    attachment = None if file is None else uploads.attachment(file)
    try:
        composed = workbench.outbox.preview(
            actor, workbench.batches.preview_request(actor, plan.rows[place], attachment)
        )
    except InvalidInput as refused:
        for problem in refused.problems:
            st.error(escape(problem.message), icon=":material/error:")
        return False
    except OutboxRefused as refused:
        draw_missing_account() if refused.code == "account_missing" else st.error(refusal_text(refused.code))
        return False
    for check in composed.rendered.checks:
        if check.severity is Severity.ERROR:
            st.error(escape(check.message), icon=":material/error:")
    if st.toggle(texts.SHOW_FIRST, key=f"{_STATE}_example"):
        draw_preview(composed, f"{_STATE}_view")
    return not composed.rendered.errors


def _ask_files(plan: BatchPlan) -> Mapping[int, int]:
    asks = [(place, files) for place, files in plan.matching.asks.items() if not plan.rows[place].problems]
    if not asks:
        return {}
    st.markdown(f"**{texts.DOUBTFUL.format(count=len(asks))}**")
    chosen: dict[int, int] = {}
    for place, files in asks[:_ASKED_AT_ONCE]:
        row = plan.rows[place]
        answer = st.selectbox(
            texts.WHICH_PDF.format(document=_document(row), customer=row.customer),
            [_NO_FILE, *files],
            format_func=lambda file: str(texts.NO_PDF if file == _NO_FILE else plan.file_names[file]),
            key=f"{_STATE}_ask_{row.line}_{'-'.join(map(str, files))}",
        )
        if answer is not None and answer != _NO_FILE:
            chosen[place] = answer
    return chosen


def _ask_again(plan: BatchPlan) -> frozenset[int]:
    before = [place for place in plan.before if not plan.rows[place].problems]
    if not before:
        return frozenset()
    st.markdown(f"**{texts.ALREADY.format(count=len(before))}**")
    with st.container(height=240 if len(before) > _NAMED else "content", border=True):
        return frozenset(
            place
            for place in before
            if st.checkbox(
                _again_label(plan, place), key=f"{_STATE}_again_{plan.rows[place].line}_{plan.before[place].moment}"
            )
        )


def _again_label(plan: BatchPlan, place: int) -> str:
    row, before = plan.rows[place], plan.before[place]
    told = texts.SENT_BEFORE if before.state is State.SENT else texts.HANDED_BEFORE
    known = told.format(moment=when(before.moment), addresses=join(before.addresses))
    return escape(texts.AGAIN.format(document=_document(row), customer=row.customer, before=known))


def _ask_without(plan: BatchPlan) -> bool:
    if not plan.file_names or not plan.matching.rows_alone:
        return False
    return st.checkbox(texts.ALSO_WITHOUT, key=f"{_STATE}_without")


def _problem_line(row: DocumentRow) -> str:
    names = texts["COLUMN_NAMES"]
    # Of what is left empty the sentence names no field.
    told = " ".join(
        dict.fromkeys(
            f"{names[problem.field].capitalize()}: {problem.message}" if problem.code == "empty" else problem.message
            for problem in row.problems
        )
    )
    return escape(texts.ROW_PROBLEM.format(line=row.line, document=_document(row), problem=told))


def _document(row: DocumentRow) -> str:
    return f"{row.series} {row.number}".strip()
