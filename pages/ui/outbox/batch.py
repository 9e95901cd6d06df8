"""«Varios» after the yes: how far it is, each row with its state, stop, go on, try again, and the result as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import streamlit as st

from cgcore.documents import DocumentType, info
from cgcore.errors import NotFound
from cgcore.identity.actor import Actor
from cgcore.outbox.batch import Batch, BatchEntry, BatchState
from cgcore.outbox.sheet import write_sheet
from cgcore.outbox.states import State
from cgcore.texts import join, lookup, read_text, write
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.batches import BatchProgress
from cgcore.workbench.outbox.describe import (
    SHOWN_COPIES,
    SHOWN_STATES,
    reason_texts,
    refusal_text,
    shown_state,
    state_text,
)
from pages.ui.files import draw_download
from pages.ui.identity import while_logged_in
from pages.ui.markdown import escape
from pages.ui.moments import upcoming, when
from pages.ui.outbox.draft import PAGE
from pages.ui.outbox.many import ManyDraft
from pages.ui.outbox.message import badge
from pages.ui.outbox.sent import draw_pause
from pages.ui.tab import is_fragment_run
from pages.ui.texts import send_document as texts
from pages.ui.toasts import announce

__all__ = ["draw_batch", "draw_earlier", "find_open_batch"]

_KEY = f"{PAGE}_batch"
_WAITING = (State.QUEUED, State.CLAIMED, State.IN_FLIGHT)
_TABLE_ROWS = 10


def find_open_batch(workbench: Workbench, actor: Actor, draft: ManyDraft) -> BatchProgress | None:
    """Return the batch that this tab looks at, else the last one, where that is still on its way or stopped."""
    if draft.batch:
        try:
            return workbench.batches.get(actor, draft.batch)
        except NotFound:
            draft.batch = ""
    if draft.round:
        return None
    for batch in workbench.batches.list(actor)[:1]:
        progress = workbench.batches.get(actor, batch.id)
        if progress.is_moving or progress.counts.get(State.HELD):
            draft.batch = batch.id  # it stays in sight when it has ended
            return progress
    return None


def draw_batch(workbench: Workbench, actor: Actor, draft: ManyDraft, progress: BatchProgress) -> None:
    """Draw a batch; while it moves, it is followed."""
    if progress.is_moving and workbench.settings.outbox == "on":
        _draw_live(workbench, actor, progress.batch.id)
    else:
        _draw_progress(workbench, actor, progress)
    if st.button(texts.ANOTHER_MANY, icon=":material/add:", key=f"{_KEY}_another"):
        draft.batch = ""
        draft.round += 1
        st.rerun()


def draw_earlier(workbench: Workbench, actor: Actor, draft: ManyDraft) -> None:
    """Draw the way to the last batches."""
    batches = {batch.id: batch for batch in workbench.batches.list(actor)}
    if not batches:
        return
    chosen = st.selectbox(
        texts.EARLIER,
        list(batches),
        index=None,
        format_func=lambda name: _earlier(batches[name]),
        placeholder=texts.EARLIER_CHOOSE,
        key=f"{_KEY}_earlier-{draft.round}",
        width=400,
    )
    if chosen:
        draft.batch = chosen
        draft.round += 1
        st.rerun()


def _earlier(batch: Batch) -> str:
    return texts.EARLIER_ROW.format(name=batch.name, count=len(batch.going), moment=when(batch.created))


@st.fragment(run_every=timedelta(seconds=2))
@while_logged_in
def _draw_live(workbench: Workbench, actor: Actor, name: str) -> None:
    """Follow a batch; the page is run again when there is no more to follow."""
    progress = workbench.batches.get(actor, name)
    if is_fragment_run() and not progress.is_moving:
        st.rerun()
    _draw_progress(workbench, actor, progress)


def _draw_progress(workbench: Workbench, actor: Actor, progress: BatchProgress) -> None:
    batch, counts = progress.batch, progress.counts
    total = len(batch.going)
    if batch.state is BatchState.FAILED:
        st.error(_failure(batch), title=texts.NONE_SENT, icon=":material/error:")
    elif batch.state is BatchState.STORING:
        st.progress(progress.stored / max(1, total), text=texts.STORING.format(count=progress.stored, total=total))
    else:
        _draw_head(workbench, actor, progress)
    _draw_table(workbench.batches.entries(actor, batch))
    with st.container(horizontal=True, key=f"{_KEY}_actions"):
        failed = counts.get(State.FAILED, 0)
        if failed and st.button(texts.RETRY_FAILED.format(count=failed), icon=":material/replay:", key=f"{_KEY}_retry"):
            _change(workbench.batches.retry_failed, actor, batch.id)
        draw_download(
            texts.RESULT,
            lambda asking: _result(workbench, asking, batch.id),
            file_name=texts.RESULT_NAME,
            mime="text/csv",
            key=f"{_KEY}_result",
        )


def _draw_head(workbench: Workbench, actor: Actor, progress: BatchProgress) -> None:
    name, counts = progress.batch.id, progress.counts
    total = len(progress.batch.going)
    waiting = sum(counts.get(state, 0) for state in _WAITING)
    held, done = counts.get(State.HELD, 0), total - waiting - counts.get(State.HELD, 0)
    draw_pause(workbench, actor, workbench.outbox.overview_of(actor).account, _KEY)
    if held and progress.batch.reason:
        title, fix = reason_texts(progress.batch.reason)
        st.warning(fix, title=title, icon=":material/front_hand:")
    with st.container(horizontal=True, vertical_alignment="center", key=f"{_KEY}_head"):
        if waiting and st.button(texts.STOP, icon=":material/stop_circle:", key=f"{_KEY}_stop"):
            _change(workbench.batches.stop, actor, name)
        if held and st.button(texts.GO_ON, icon=":material/play_arrow:", key=f"{_KEY}_go_on"):
            _change(workbench.batches.go_on, actor, name)
        if held and st.button(texts.CANCEL_REST.format(count=held), icon=":material/block:", key=f"{_KEY}_cancel"):
            _change(workbench.batches.cancel_rest, actor, name)
        ends = texts.ENDS_AT.format(time=upcoming(progress.ends)) if progress.ends else ""
        st.markdown(texts.DONE_OF.format(count=done, total=total) + ends)
    st.progress(done / max(1, total))
    if workbench.settings.outbox == "off" and waiting:
        st.caption(f":material/info: {texts.SWITCHED_OFF}")
    st.markdown(" ".join(badge(state, _count(state, count)) for state, count in _shown_counts(progress)))
    if counts.get(State.UNKNOWN):
        st.caption(texts.UNKNOWN_MANY)


def _shown_counts(progress: BatchProgress) -> Sequence[tuple[str, int]]:
    """Return how many rows are shown in each state: each is counted once, under the word that stands in its row."""
    counts = {state.value: progress.counts.get(state, 0) for state in State}
    counts |= {shown: progress.copies.get(state, 0) for shown, state in SHOWN_COPIES.items()}
    apart = progress.returned + sum(counts[shown] for shown in SHOWN_COPIES)
    counts |= {State.SENT.value: counts[State.SENT] - apart, "bounced": progress.returned}
    return [(state, counts[state]) for state in SHOWN_STATES if counts[state]]


def _count(state: str, count: int) -> str:
    return texts["BATCH_COUNTS"][state].format(count=count)


def _draw_table(entries: Sequence[BatchEntry]) -> None:
    rows = [_cells(entry) for entry in entries]
    columns = dict(zip(_header(), map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    height = "auto" if len(rows) <= _TABLE_ROWS else 35 * (_TABLE_ROWS + 1)
    # On a phone the first ones are in sight.
    state = str(texts.STATE)
    order = list(dict.fromkeys((str(texts.COLUMN_DOCUMENT), state, *_header())))
    wide = {state: st.column_config.Column(width="medium")}
    st.dataframe(
        columns,
        hide_index=True,
        height=height,
        alt=texts.BATCH_TABLE,
        column_order=order,
        column_config=wide,
        key=f"{_KEY}_table",
    )


def _header() -> list[str]:
    named = [texts.COLUMN_DOCUMENT, texts.CUSTOMER, texts.TO, texts.COLUMN_FILE, texts.STATE, texts.COLUMN_WHY]
    return [str(name) for name in named]


def _cells(entry: BatchEntry) -> list[str]:
    line, message = entry.line, entry.message
    document = f"{line.series} {line.number}".strip()
    state = state_text(shown_state(message)) if message else texts.NOT_SENT
    return [document, line.customer, join(line.to), line.file, state, _why(entry)]


def _why(entry: BatchEntry) -> str:
    if entry.message is None:
        return texts["BEHIND"][entry.line.behind] if entry.line.behind else ""
    if entry.message.reason is not None:
        return reason_texts(entry.message.reason)[0]
    return entry.message.queue_id


def _failure(batch: Batch) -> str:
    reason = batch.reason or {}
    key = str(reason.get("key", ""))
    if key == "row":
        told = " ".join(str(read_text(problem)) for problem in reason.get("problems", ()))
        return escape(texts.FAILED_ROW.format(line=reason.get("line"), problem=told))
    if key in lookup("cgcore.outbox", "refused"):
        return escape(refusal_text(key))
    return texts.FAILED_INTERRUPTED if key == "interrupted" else texts.FAILED_OTHER


def _result(workbench: Workbench, actor: Actor, name: str) -> str:
    """Return every row with what became of it, as a file that a spreadsheet opens."""
    batch = workbench.batches.get(actor, name).batch
    rows = [
        [info(DocumentType(entry.line.document_type)).noun, *_cells(entry), _accepted(entry)]
        for entry in workbench.batches.entries(actor, batch)
    ]
    return write_sheet([texts.TYPE, *_header(), texts.COLUMN_ACCEPTED], rows)


def _accepted(entry: BatchEntry) -> str:
    moment = entry.message.accepted if entry.message else None
    return write(moment, "moment") if moment else ""


def _change(act: Callable[[Actor, str], int], actor: Actor, name: str) -> None:
    announce(texts.CHANGED_MANY.format(count=act(actor, name)))
    st.rerun()
