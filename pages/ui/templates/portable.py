"""All templates as one file: out, and in again after a look at what would change."""

from __future__ import annotations

import json

import streamlit as st

from cgcore.documents import types_with_template
from cgcore.errors import InvalidInput, StaleVersion
from pages.ui.cells import cell
from pages.ui.editing import forget_forms
from pages.ui.files import draw_download
from pages.ui.markdown import escape
from pages.ui.portable import draw_apply
from pages.ui.templates.drafts import PAGE, readable
from pages.ui.templates.view import SendingPage
from pages.ui.texts import sending_defaults as texts

__all__ = ["contrast", "draw_portable"]

_ROWS = 40
_CUT, _BEFORE = 200, 30
_IMPORTED = f"{PAGE}_imported"


def draw_portable(page: SendingPage) -> None:
    """Draw the cell of export and import."""
    section = page.workbench.portable
    if st.session_state.pop(_IMPORTED, False):
        st.toast(texts.IMPORT_DONE, icon=":material/check:")
    with cell("templates_file", texts.FILE_TITLE):
        st.caption(texts.FILE_NOTE)
        draw_download(
            texts.EXPORT,
            lambda asking: section.export_user(asking, asking.username, only_templates=True),
            file_name=texts.FILE_NAME,
            mime="application/json",
            key=f"{PAGE}_export",
        )
        key = f"{PAGE}_import_{st.session_state.get(f'{PAGE}_imports', 0)}"
        uploaded = st.file_uploader(texts.IMPORT, type=["json"], key=key)
        if uploaded is not None:
            _draw_plan(page, uploaded.getvalue())


def _draw_plan(page: SendingPage, data: bytes) -> None:
    try:
        data = _only_templates(data)
        plan = page.workbench.portable.plan(page.actor, data, page.actor.username)
    except InvalidInput as refused:
        st.error(escape(refused.problems[0].message), title=texts.IMPORT_REFUSED, icon=":material/error:")
        return
    if not plan.changes:
        st.info(texts.IMPORT_NOTHING, icon=":material/check:")
        return
    st.markdown(f"**{texts.IMPORT_COUNT.format(count=len(plan.changes))}**")
    rows = [(_label(change.field), *contrast(change.before, change.after)) for change in plan.changes[:_ROWS]]
    names = (texts.COLUMN_FIELD, texts.COLUMN_BEFORE, texts.COLUMN_AFTER)
    columns = dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))
    st.table(columns, border="horizontal", hide_index=True, alt=texts.IMPORT_ALT)
    if page.drafts.count_changed():
        st.warning(texts.IMPORT_DRAFTS, icon=":material/warning:")
    if seen := draw_apply(PAGE, plan, texts.IMPORT_APPLY):
        _apply(page, data, seen)


def _apply(page: SendingPage, data: bytes, fingerprint: str) -> None:
    try:
        page.workbench.portable.apply(page.actor, data, page.actor.username, fingerprint=fingerprint)
    except StaleVersion:
        st.warning(texts.IMPORT_CHANGED, icon=":material/sync_problem:")
        return
    forget_forms(PAGE)
    st.session_state[f"{PAGE}_imports"] = st.session_state.get(f"{PAGE}_imports", 0) + 1
    # Said by the next run: this one ends here, and its toast might never arrive.
    st.session_state[_IMPORTED] = True
    st.rerun()


def _only_templates(data: bytes) -> bytes:
    # A whole configuration is welcome too, but this page brings in nothing else of it.
    try:
        value = json.loads(data.decode("utf-8-sig"))
        users = value["users"]
        kept = ("name", "templates", "signature")
        value["users"] = [{name: user[name] for name in kept if name in user} for user in users]
        value["company"] = value["series"] = None
    except (ValueError, TypeError, KeyError, RecursionError):
        return data  # what is wrong with it is said by the reader
    return json.dumps(value).encode()


def _label(path: str) -> str:
    _, _, rest = path.partition("templates.")
    code, _, field = rest.partition(".")
    kinds = {entry.code.value: entry.tab for entry in types_with_template()}
    if code not in kinds:
        return texts.SIGNATURE if path.startswith("signature") else escape(path)
    return f"{kinds[code]} · {texts.SUBJECT if field == 'subject' else texts.BODY}"


def contrast(before: str, after: str) -> tuple[str, str]:
    """Return two texts, as Markdown, from just before they differ: their words, or the markup where those are equal."""
    words = readable(before).strip(), readable(after).strip()
    pair = words if words[0] != words[1] else (before, after)
    differs = (place for place, (ours, theirs) in enumerate(zip(*pair, strict=False)) if ours != theirs)
    start = max(0, next(differs, min(map(len, pair))) - _BEFORE)
    return _shown(pair[0], start), _shown(pair[1], start)


def _shown(text: str, start: int) -> str:
    seen = ("…" if start else "") + text[start : start + _CUT] + ("…" if len(text) > start + _CUT else "")
    return escape(seen) if text else texts.EMPTY
