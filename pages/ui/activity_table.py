"""The lines of the activity log as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import streamlit as st

from cgcore.activity import Action, ActivityEntry
from cgcore.documents import types_with_template
from cgcore.mail.diagnosis.catalogue import diagnosis_keys
from cgcore.mail.diagnosis.texts import sentences
from cgcore.mail.steps import Leg
from cgcore.texts import lookup
from cgcore.workbench.activity import detail_words
from pages.ui.markdown import escape
from pages.ui.moments import unbroken, when
from pages.ui.texts import activity as texts

__all__ = ["draw_entries", "result_word", "words_of"]

# Actions whose object is a document type.
_OF_A_TYPE = frozenset({Action.TEMPLATE_SAVED, Action.TEMPLATE_RESTORED, Action.TEMPLATES_COPIED})


_AND = "\N{NO-BREAK SPACE}· "  # no line begins with the dot


def draw_entries(entries: Sequence[ActivityEntry], *, with_user: bool) -> None:
    """Draw ``entries``, the newest first; without the user where all are one's own.

    Three columns: more of them are wider than a phone.
    """
    columns = {
        texts.COLUMN_WHEN: [unbroken(when(entry.at)) for entry in entries],
        texts.COLUMN_RESULT: [_result(entry) for entry in entries],
        texts.COLUMN_WHO if with_user else texts.COLUMN_WHAT: [_line(entry, with_user=with_user) for entry in entries],
    }
    st.table(columns, border="horizontal", hide_index=True, alt=texts.TABLE_ALT)


def _line(entry: ActivityEntry, *, with_user: bool) -> str:
    who, source = escape(entry.actor_name) if with_user else "", escape(_source(entry))
    return _AND.join(filter(None, (who, *_what(entry), f":gray[{source}]" if source else "")))


def _what(entry: ActivityEntry) -> Iterator[str]:
    yield escape(texts["ACTIONS"].get(entry.action, entry.action))
    if (thing := _thing(entry)) and thing != "*":
        yield f"**{escape(thing)}**"
    if detail := detail_words(entry):
        yield f":gray[{escape(detail)}]"


def _thing(entry: ActivityEntry) -> str:
    if entry.action in _OF_A_TYPE:
        return next((known.tab for known in types_with_template() if known.code.value == entry.object), entry.object)
    return texts["OBJECTS"].get(entry.object, entry.object)


def words_of(entry: ActivityEntry) -> tuple[str, str, str]:
    """Return object, result and detail of a line as the table shows them, for a spreadsheet."""
    result = {"ok": texts.OK, "warning": texts.WARNING}.get(entry.result) or result_word(entry.result)
    return _thing(entry), result, detail_words(entry)


def _result(entry: ActivityEntry) -> str:
    if entry.result == "ok":
        return f":green-badge[:material/check_circle: {texts.OK}]"
    if entry.result == "warning":
        return f":orange-badge[:material/warning: {texts.WARNING}]"
    return f":red[:material/error: {escape(result_word(entry.result))}]"


def result_word(code: str) -> str:
    """Return a result in words: a diagnosis by its title, what is unknown as it is stored."""
    if code in diagnosis_keys():
        return sentences(code, Leg.SMTP)[0]
    if code in (own := lookup("cgcore.outbox", "reason")):
        return own[code]["title"]
    return texts["RESULTS"].get(code, code)


def _source(entry: ActivityEntry) -> str:
    if entry.key_id:
        return texts.VIA_KEY.format(ip=entry.ip, key=entry.key_id)
    return texts.FROM.format(ip=entry.ip) if entry.ip else ""
