"""What a person edits: seeded once from what is stored, compared with it, saved, refused, set against a newer version.

Every editing page goes through :class:`Form`: one object, its fields, and the version that it was read at. A save is
:func:`store`; what became of it is told by :func:`draw_notices`, run after run, until it is cured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

import streamlit as st

from cgcore.errors import FieldProblem, InvalidInput, StaleVersion, StorageError
from cgcore.texts import sentence
from pages.ui.heads import SaveBar
from pages.ui.problems import draw_problems
from pages.ui.tab import is_held, is_settling
from pages.ui.texts import common as texts
from pages.ui.toasts import announce

__all__ = [
    "KEPT",
    "Form",
    "SessionValue",
    "draw_notices",
    "draw_stale",
    "forget_forms",
    "list_forms",
    "store",
    "wants_save",
]

_Value = TypeVar("_Value")
_UNKNOWN = -1  # no stored version has this number


class SessionValue(Generic[_Value]):
    """One typed entry of the browser session; ``make`` gives what stands there before anything was put."""

    def __init__(self, name: str, make: Callable[[], _Value]) -> None:
        self.name, self._make = name, make

    def get(self) -> _Value:
        """Return what stands there."""
        # Each look into the session costs as much as drawing a sentence, and this is asked for with every field.
        try:
            return st.session_state[self.name]
        except KeyError:
            st.session_state[self.name] = made = self._make()
            return made

    def put(self, value: _Value) -> None:
        """Let ``value`` stand there."""
        st.session_state[self.name] = value

    def take(self) -> _Value:
        """Return what stands there and forget it."""
        value = self.get()
        del st.session_state[self.name]
        return value


@dataclass(slots=True)
class _Edit:
    """What the session knows of one form between two runs."""

    form: Form
    version: int = 0
    problems: tuple[FieldProblem, ...] = ()
    refused: dict[str, Any] | None = None
    stale: StaleVersion | None = None
    save_again: bool = False
    failure: str = ""
    is_restored: bool = False
    seeds: dict[str, Any] = field(default_factory=dict[str, Any])


def _no_edits() -> dict[str, _Edit]:
    return {}


def _nothing_kept() -> dict[str, dict[str, Any]]:
    return {}


_EDITS = SessionValue("edits", _no_edits)
# By page and form: what a draft of another session holds, until the form begins and takes it.
KEPT = SessionValue("edits_kept", _nothing_kept)


class Form:
    """The draft of one object of ``page``: its widgets, each at ``<name>_<field>``, and what they are compared with.

    ``stored`` maps each field to its value and ``version`` is what those were read at; both are seen at the first run,
    after :meth:`reset` and after :func:`forget_forms`. ``labels`` names the fields on screen, for the choice after a
    stale save. A widget is drawn with what :meth:`widget` or :meth:`choice` gives it.
    """

    def __init__(
        self, page: str, name: str, stored: Mapping[str, Any], version: int, labels: Mapping[str, str]
    ) -> None:
        self.page, self.name = page, name
        self.stored_values, self._stored_version, self._labels = stored, version, labels
        edits = _EDITS.get()
        if name in edits:
            edits[name].form = self
        else:
            edits[name] = _Edit(self)
            self.reset()
            if kept := KEPT.get().get(page, {}).pop(name, None):
                self.restore(kept)
        for field_name, value in stored.items():
            self._show(field_name, value)

    def key(self, name: str) -> str:
        """Return the widget key of a field."""
        return f"{self.name}_{name}"

    @property
    def version(self) -> int:
        """The version that the draft was read at."""
        return self._edit.version

    def value(self, name: str) -> Any:
        """Return what a field holds now."""
        try:
            return st.session_state[self.key(name)]
        except KeyError:
            return self._edit.seeds.get(name)

    def put(self, name: str, value: Any) -> None:
        """Let a field hold another value; only before its widget is drawn."""
        self._edit.seeds[name] = value
        if not is_held(self.key(name)):
            st.session_state[self.key(name)] = value

    def ensure(self, name: str, value: Any) -> None:
        """Let a field hold ``value``, without writing to one that does; only before its widget is drawn.

        What is written reaches the browser later than a click that was made meanwhile, and would take it back.
        """
        key = self.key(name)
        if key in st.session_state and st.session_state[key] == value:
            self._edit.seeds[name] = value
        else:
            self.put(name, value)

    def widget(self, name: str) -> dict[str, Any]:
        """Return how the widget of a field is drawn: kept for the session, and with its value as the default too.

        The session's entry, which counts, reaches the browser with one run alone, and the next may overtake that one.
        """
        return {"key": self.key(name), "value": self.value(name), "persist_state": "session"}

    def choice(self, name: str) -> dict[str, Any]:
        """Return the same for one whose default is an option, not an index (``st.segmented_control``)."""
        return {"key": self.key(name), "default": self.value(name), "persist_state": "session"}

    def index_in(self, name: str, options: Sequence[Any]) -> int | None:
        """Return where in ``options`` stands what a field holds now, None for nothing of them."""
        value = self.value(name)
        return options.index(value) if value in options else None

    def values(self) -> dict[str, Any]:
        """Return what every field holds now."""
        return {name: self.value(name) for name in self.stored_values}

    def changed(self) -> list[str]:
        """Return the fields that differ from what is stored."""
        return [name for name, value in self.stored_values.items() if self.value(name) != value]

    def count_changed(self) -> int:
        """Return how many fields differ from what is stored, as the page says it."""
        return len(self.changed())

    def reset(self) -> None:
        """Take what is stored; only before the widgets are drawn."""
        _EDITS.get()[self.name] = _Edit(self, self._stored_version)
        for name, value in self.stored_values.items():
            self.ensure(name, value)

    def kept(self) -> dict[str, Any] | None:
        """Return what a draft keeps: the changed fields without secrets, and the version; None without a change."""
        names = [name for name in self.changed() if name in self.stored_values]
        values = {name: self.value(name) for name in names}
        return {"version": self.version, "values": values} if values else None

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take what :meth:`kept` has returned once; only before the widgets are drawn."""
        for name, value in kept.get("values", {}).items():
            fitting = _fit(value, self.stored_values.get(name))
            if fitting is not None:
                self.put(name, fitting)
        self.accept_version(int(kept.get("version", self.version)))
        self._edit.is_restored = True

    def settle(self) -> None:
        """Take over what the browser shows, at the end of the first run of a tab that has come back.

        Where no draft tells at which version it was read, a save of it meets the stored one: the person chooses.
        """
        if not self._edit.is_restored and self.changed():
            self.accept_version(_UNKNOWN)

    def accept_version(self, version: int) -> None:
        """Keep the draft, based on ``version`` from now on."""
        self._edit.version = version

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return label, own value and stored value of each field that differs from ``stored``."""
        return [
            (self._labels[name], _shown(value), _shown(stored.get(name)))
            for name, value in self.values().items()
            if name in self._labels and value != stored.get(name)
        ]

    @property
    def problems_of_save(self) -> tuple[FieldProblem, ...]:
        """Why the last save was refused."""
        return self._edit.problems

    @property
    def is_refused(self) -> bool:
        """Whether a save was refused, and nothing was changed since."""
        return self._edit.refused is not None and self._edit.refused == self.values()

    def refuse(self, refused: InvalidInput) -> None:
        """Remember why a save was refused, together with the values that were refused."""
        self._edit.problems, self._edit.refused = refused.problems, self.values()

    def forgive(self) -> None:
        """Forget that a save was refused, or failed."""
        self._edit.problems, self._edit.refused, self._edit.failure = (), None, ""

    @property
    def failure(self) -> str:
        """The code of why the database did not take the last save, until one succeeds."""
        return self._edit.failure

    def fail(self, code: str) -> None:
        """Remember that the database did not take a save."""
        self._edit.failure = code

    def problems_under(self, field: str, *, widget: str = "") -> None:
        """Draw what was refused about ``field``, until the value of its ``widget`` (by default itself) is changed."""
        refused, name = self._edit.refused or {}, widget or field
        stands = refused.get(name) == st.session_state.get(self.key(name))
        draw_problems(self._edit.problems if stands else (), field)

    @property
    def stale(self) -> StaleVersion | None:
        """The newer version that a save of this draft has met, until the person has chosen."""
        return self._edit.stale

    def meet(self, stale: StaleVersion) -> None:
        """Remember that somebody else has saved in between."""
        self._edit.stale = stale

    def take_mine(self) -> None:
        """Answer to a stale save: keep the draft, and save it over what stands there now."""
        if self.stale is not None:
            self.accept_version(self.stale.version)
            self._edit.stale, self._edit.save_again = None, True

    def take_stored(self) -> None:
        """Answer to a stale save: give the draft up for what stands there now; a callback, before widgets are drawn."""
        self.reset()

    def take_save_again(self) -> bool:
        """Return whether the answer to a stale save asks for another save, once."""
        again, self._edit.save_again = self._edit.save_again, False
        return again

    @property
    def _edit(self) -> _Edit:
        return _EDITS.get()[self.name]

    def _show(self, name: str, value: Any) -> None:
        """Give a widget that the session does not know what it starts with."""
        if not is_held(self.key(name)):
            st.session_state.setdefault(self.key(name), self._edit.seeds.get(name, value))


def list_forms(page: str = "") -> list[Form]:
    """Return the forms that this session has begun to edit, those of ``page`` or all."""
    return [edit.form for edit in _EDITS.get().values() if page in ("", edit.form.page)]


def forget_forms(page: str = "") -> None:
    """Let every draft (of ``page``) start anew from what is stored: an import has changed it."""
    for form in list_forms(page):
        del _EDITS.get()[form.name]


def wants_save(bar: SaveBar, *forms: Form) -> bool:
    """Return whether this run is to save, and say so: by a click on Guardar, or by the answer to a stale save."""
    again = [form.take_save_again() for form in forms]
    wanted = (bar.clicked or any(again)) and not is_settling()
    if wanted:
        bar.tell_saving()
    return wanted


def store(form: Form, save: Callable[[], object], *, quiet: bool = False) -> bool:
    """Call ``save``; return whether it is stored, and say so unless ``quiet``. The draft stays in any case.

    What went wrong is remembered and told by :func:`draw_notices`, run after run: the next key pressed in a field
    may run the page again before anybody has read it.
    """
    try:
        save()
    except InvalidInput as refused:
        form.refuse(refused)
        return False
    except StaleVersion as stale:
        form.meet(stale)
        return False
    except StorageError as failure:
        form.fail(failure.code)
        return False
    form.forgive()
    if not quiet:
        announce(texts.SAVED_TOAST)
    return True


def draw_notices(bar: SaveBar, *forms: Form) -> None:
    """Say that nothing was saved while that is so, and offer the choice that a stale save of one of them waits for."""
    with bar.notices:
        if any(form.is_refused for form in forms):
            st.error(texts.NOTHING_SAVED, icon=":material/error:")
        for failure in sorted({form.failure for form in forms if form.failure}):
            st.error(sentence("cgcore.storage", failure), icon=":material/cloud_off:")
        draw_stale(bar.page, *forms)


def draw_stale(page: str, *forms: Form) -> None:
    """Draw the choice that the first of ``forms`` waits for, both versions side by side; nothing is lost."""
    waiting = next(((form, form.stale) for form in forms if form.stale is not None), None)
    if waiting is None:
        return
    form, stale = waiting
    with st.container(border=True, key=f"{page}_stale_box"):
        st.warning(texts.STALE_EXPLANATION, title=texts.STALE_TITLE, icon=":material/sync_problem:")
        names = (texts.STALE_FIELD, texts.STALE_YOURS, texts.STALE_STORED)
        for name, column in zip(st.columns(3), names, strict=True):
            name.caption(column)
        for row in form.differences(stale.stored):
            for place, value in zip(st.columns(3), row, strict=True):
                place.text(value)
        with st.container(horizontal=True):
            st.button(texts.STALE_KEEP_MINE, key=f"{page}_stale_mine", on_click=form.take_mine)
            st.button(texts.STALE_TAKE_STORED, key=f"{page}_stale_stored", on_click=form.take_stored)


def _fit(value: Any, like: Any) -> Any:
    """Return a kept value as the field holds it, None where it cannot be one of its values."""
    if isinstance(like, Enum):
        return next((member for member in type(like) if member.value == value), None)
    return value if type(value) is type(like) else None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return texts.YES if value else texts.NO
    return "–" if value in (None, "") else str(value)
