"""Long lists: the first page of each with 5 000 series, 500 users and 100 000 lines of activity, against ten rows.

Both installations are asked in turns; the figure is the ratio. Each list is asked twice: the use case alone for ten
rows, which shows what the length of the table costs, and the whole page with the rows that it really shows.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert
from streamlit.testing.v1 import AppTest

import cgcore.workbench
from bench.figures import Figure, median_ratio
from cgcore.activity import ActivityFilters
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.settings import load_settings
from cgcore.storage.tables import ActivityRow, LoginSessionRow, SeriesNumberRow, SeriesRow, UserRow
from cgcore.workbench import Workbench, open_workbench

__all__ = ["run"]

_LIMIT = 1.5
_ROUNDS = 41
_PAGE_ROUNDS = 21
_ROUTER = Path(__file__).parents[1] / "pages" / "workbench.py"
_SESSION = "a" * 64
_FEW = 10
_SERIES, _USERS, _LINES = 5_000, 500, 100_000
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

_List = Callable[[Workbench, Actor], object]

_LISTS: dict[str, _List] = {
    "series, first page": lambda w, a: w.series.list(a, limit=10),
    "default series, all types": lambda w, a: w.series.defaults.get(a),
    "users, first page": lambda w, a: w.users.list(a, limit=10),
    "activity of all, first page": lambda w, a: w.activity.list(a, limit=10),
    "own activity, first page": lambda w, a: w.activity.list(Actor(a.user_id, a.username), limit=10),
    "activity by action": lambda w, a: w.activity.list(a, limit=10, filters=ActivityFilters(action="probe_run")),
}


# Page script and panel of Administración.
_PAGES = {
    "page Administración, series": ("administration.py", "Series"),
    "page Administración, users": ("administration.py", "Usuarios"),
    "page Actividad": ("activity.py", ""),
    "page Series por defecto": ("series_defaults.py", ""),
}


def run() -> list[Figure]:
    """Return one ratio a list and one a page; at most 1.5."""
    with ExitStack() as stack:
        few = _furnish(stack, _FEW, _FEW, _FEW)
        many = _furnish(stack, _SERIES, _USERS, _LINES)
        figures = [_compare(name, ask, many, few) for name, ask in _LISTS.items()]
        turn = stack.enter_context(_pages_of(few.workbench))
        return figures + [_compare_page(name, *page, many, few, turn) for name, page in _PAGES.items()]


@dataclass(frozen=True)
class _House:
    workbench: Workbench
    admin: Actor


def _compare(name: str, ask: _List, many: _House, few: _House) -> Figure:
    ratio, note = median_ratio(
        lambda: ask(many.workbench, many.admin), lambda: ask(few.workbench, few.admin), rounds=_ROUNDS
    )
    return Figure(f"lists: {name}", ratio, _LIMIT, note=note)


class _Turn:
    """Whose turn it is: the workbench that the pages get."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench


@contextmanager
def _pages_of(first: Workbench) -> Iterator[_Turn]:
    """Let the pages run over whatever workbench has its turn."""
    turn, before = _Turn(first), cgcore.workbench.get_workbench
    # A page that runs takes the name of the main module, and would be what a benchmark's new process starts with.
    main = sys.modules["__main__"]
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    cgcore.workbench.get_workbench = lambda: turn.workbench  # type: ignore[assignment]
    from pages.ui import identity

    identity.get_workbench = cgcore.workbench.get_workbench
    try:
        yield turn
    finally:
        cgcore.workbench.get_workbench = identity.get_workbench = before
        sys.modules["__main__"] = main


def _compare_page(name: str, script: str, panel: str, many: _House, few: _House, turn: _Turn) -> Figure:
    pages = {id(house): _open_page(house, script, panel, turn) for house in (many, few)}

    def draw(house: _House) -> None:
        turn.workbench = house.workbench
        pages[id(house)].run()
        assert not pages[id(house)].exception

    ratio, note = median_ratio(lambda: draw(many), lambda: draw(few), rounds=_PAGE_ROUNDS)
    return Figure(f"lists: {name}", ratio, _LIMIT, note=note)


def _open_page(house: _House, script: str, panel: str, turn: _Turn) -> AppTest:
    turn.workbench = house.workbench
    page = AppTest.from_file(str(_ROUTER), default_timeout=60)
    page.user = {"login": house.workbench.identity.sessions.sign_identity(_SESSION)}
    page.run()
    if panel:
        page.session_state["administration_panel"] = panel
    return page.switch_page(script).run()


def _furnish(stack: ExitStack, series: int, users: int, lines: int) -> _House:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    workbench = open_workbench(load_settings(data_dir=folder / "data", config_dir=folder / "config", database_url=""))
    stack.callback(workbench.close)
    codes = [f"S{number:05}" for number in range(series)]
    with workbench.database.session() as session:
        write = session.connection().execute
        write(insert(UserRow), [_user(number) for number in range(users)])
        write(insert(SeriesRow), [_series(code) for code in codes])
        write(insert(SeriesNumberRow), [_number(code, kind) for code in codes for kind in DocumentType])
        write(insert(ActivityRow), [_line(number, users) for number in range(lines)])
        now = workbench.clock()
        session.add(
            LoginSessionRow(
                token_hash=_SESSION, user_id=1, created=now, last_seen=now, expires=now + timedelta(hours=1)
            )
        )
    return _House(workbench, Actor(1, "u00000", role=Role.ADMIN))


def _user(number: int) -> dict[str, object]:
    name = f"u{number:05}"
    role = Role.USER if number else Role.ADMIN
    return {
        "username": name,
        "username_key": name,
        "full_name": f"Persona {number}",
        "mail": f"{name}@ejemplo.es",
        "role": role.value,
        "password_hash": "",
        "locale": "es",
        "active": True,
        "created": _BEGAN,
        "version": 1,
    }


def _series(code: str) -> dict[str, object]:
    return {
        "code": code,
        "code_key": code.casefold(),
        "name": f"Serie {code}",
        "active": True,
        "kind": "ordinaria",
        "version": 1,
    }


def _number(code: str, kind: DocumentType) -> dict[str, object]:
    # Every other series leaves proformas out, so that these have series of their own.
    enabled = kind is not DocumentType.SALES_INVOICE or code[-1] in "13579"
    return {
        "series_code": code,
        "document_type": kind.value,
        "enabled": enabled,
        "next_number": 1,
        "last_used": 0,
        "last_used_year": 0,
    }


def _line(number: int, users: int) -> dict[str, object]:
    return {
        "at": _BEGAN + timedelta(seconds=number),
        "actor_id": number % users + 1,
        "actor_name": f"u{number % users:05}",
        "action": ("series_saved", "probe_run", "logged_in")[number % 3],
        "object": f"objeto {number}",
        "result": "ok",
        "detail": "",
        "ip": "192.0.2.7",
        "key_id": "",
    }
