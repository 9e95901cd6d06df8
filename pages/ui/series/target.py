"""For whom a default is chosen: me, another user, everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import streamlit as st

from cgcore.documents import DocumentType, type_label
from cgcore.identity.actor import Actor
from cgcore.series.defaults import Defaults
from cgcore.workbench import Workbench
from cgcore.workbench.series_defaults import Choices
from pages.ui.identity import dialog, while_logged_in
from pages.ui.problems import draw_search_problem
from pages.ui.texts import common
from pages.ui.texts import series_defaults as texts

__all__ = ["ANSWER", "Target", "Whose", "ask_everybody", "choose_target", "draw_clear_own", "read_target"]

_WHOSE, _USER, _SEARCH = "series_defaults_target", "series_defaults_user", "series_defaults_user_search"
_USERS = 200


class Whose(StrEnum):
    """Whose defaults are in sight."""

    ME = "me"
    OTHER = "other"
    ALL = "all"

    @property
    def label(self) -> str:
        """What it is called on the screen."""
        return texts["TARGETS"][self.value]


@dataclass(frozen=True, slots=True)
class Target:
    """The choice: ``user_id`` and ``name`` of another user, ``""`` where it is not one."""

    whose: Whose
    user_id: int | None = None
    name: str = ""

    @property
    def form_prefix(self) -> str:
        """A prefix of widget keys of its own, so that no draft slips from one person to another."""
        return f"series_defaults_{self.whose.name.lower()}_{self.user_id or ''}"

    def read(self, workbench: Workbench, actor: Actor, *, search: str = "", choices: Choices | None = None) -> Defaults:
        """Return the defaults in sight, with unsaved ``choices`` in place of the stored ones."""
        section = workbench.series.defaults
        if self.whose is Whose.ALL:
            return section.get_company(actor, search=search, choices=choices)
        return section.get(actor, self.user_id, search=search, choices=choices)

    def save(
        self, workbench: Workbench, actor: Actor, changed: Choices, stored: Defaults, version: int, *, clear: bool
    ) -> None:
        """Store the ``changed`` choices; for everybody, ``clear`` also removes the own choices that stand against them.

        An answer without a change comes from «Quitar las elecciones propias»: then the ``stored`` ones count.
        """
        section = workbench.series.defaults
        if self.whose is Whose.ALL:
            section.save_company(actor, changed or dict(stored.choices), version, clear_own=clear)
        else:
            section.save(actor, changed, version, self.user_id)


def read_target(actor: Actor) -> Target:
    """Return the target that the session holds, without drawing anything."""
    whose = st.session_state.get(_WHOSE) or Whose.ME
    if not isinstance(whose, Whose):
        # A draft keeps the name.
        whose = st.session_state[_WHOSE] = Whose.__members__.get(whose, Whose.ME)
    if not actor.is_admin or whose is Whose.ME:
        return Target(Whose.ME)
    if whose is Whose.ALL:
        return Target(Whose.ALL)
    chosen = st.session_state.get(_USER)
    return Target(Whose.OTHER, *chosen) if chosen else Target(Whose.OTHER, name="")


def choose_target(workbench: Workbench, actor: Actor) -> None:
    """Draw the choice; administrators only."""
    if not actor.is_admin:
        return
    st.session_state.setdefault(_WHOSE, Whose.ME)
    st.segmented_control(
        texts.TARGET,
        list(Whose),
        format_func=lambda whose: whose.label,
        key=_WHOSE,
        default=st.session_state[_WHOSE],
        required=True,
        persist_state="session",
    )
    if st.session_state[_WHOSE] is not Whose.OTHER:
        return
    text = st.session_state.get(_SEARCH, "")
    page = workbench.users.list(actor, text=text, limit=_USERS)
    users = [(user.id, user.username) for user in page["items"] if user.id != actor.user_id]
    if page["next"] or text:
        st.text_input(texts.OTHER_USER_SEARCH, key=_SEARCH, icon=":material/search:", persist_state="session")
        draw_search_problem(text)
    if not users:
        st.caption(texts.OTHER_USER_NONE)
        return
    if st.session_state.get(_USER) not in users:
        st.session_state[_USER] = users[0]
        st.rerun()
    st.selectbox(
        texts.OTHER_USER,
        users,
        users.index(st.session_state[_USER]),
        format_func=lambda user: user[1],
        key=_USER,
        persist_state="session",
    )


ANSWER = "series_defaults_everybody_answer"
_SHOWN = 20


@dialog(lambda: texts.EVERYBODY_TITLE, icon=":material/group:")
@while_logged_in
def ask_everybody(workbench: Workbench, actor: Actor, types: Sequence[DocumentType]) -> None:
    """List whose own choice of ``types`` would go, and leave the answer in the session: remove them, or keep them."""
    st.write(texts.EVERYBODY_EXPLANATION)
    overridden = workbench.series.defaults.list_overridden(actor, types)
    for choice in overridden[:_SHOWN]:
        kind = type_label(choice.document_type)
        st.text(texts.EVERYBODY_ROW.format(name=choice.username, kind=kind, code=choice.series_code))
    if len(overridden) > _SHOWN:
        st.caption(texts.EVERYBODY_MORE.format(count=len(overridden) - _SHOWN))
    with st.container(horizontal=True):
        if st.button(texts.EVERYBODY_CONFIRM, type="primary", key="series_defaults_everybody_confirm"):
            st.session_state[ANSWER] = True
            st.rerun()
        if st.button(texts.EVERYBODY_KEEP, key="series_defaults_everybody_keep"):
            st.session_state[ANSWER] = False
            st.rerun()
        if st.button(common.CANCEL, key="series_defaults_everybody_cancel"):
            st.rerun()


def draw_clear_own(workbench: Workbench, actor: Actor, stored: Mapping[DocumentType, str]) -> None:
    """Offer to remove everybody's own choices of the types that the company has a default for."""
    types = list(stored)
    if not types or not workbench.series.defaults.list_overridden(actor, types):
        return
    if st.button(
        texts.CLEAR_OWN, icon=":material/group_remove:", help=texts.CLEAR_OWN_HELP, key="series_defaults_clear_own"
    ):
        ask_everybody(workbench, actor, types)
