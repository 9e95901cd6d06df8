"""What pages share: moments, durations, states of a cell."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

import pytest
import streamlit as st
from streamlit import config
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Run, Status, Step, Verdict
from cgcore.workbench import Workbench
from pages.ui.cells import CellState, state_of
from pages.ui.moments import duration, when
from tests.servers.pages import open_page, sign_in

_CONFIG = Path(__file__).parents[2] / ".streamlit" / "config.toml"
_NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
_MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, "nunca"),
        (_NOW, "ahora mismo"),
        (_NOW + timedelta(seconds=2), "ahora mismo"),
        (_NOW - timedelta(seconds=30), "hace 30\N{NO-BREAK SPACE}s"),
        (_NOW - timedelta(minutes=59), "hace 59\N{NO-BREAK SPACE}min"),
        (_NOW - timedelta(hours=3), "hoy 10:00"),
        (_NOW - timedelta(hours=14), "ayer 23:00"),
        (_NOW - timedelta(days=20), "04/11/2026 13:00"),
        (_NOW + timedelta(seconds=59), "ahora mismo"),
        (_NOW + timedelta(hours=1), "24/11/2026 14:00"),
        (_NOW + timedelta(days=1), "25/11/2026 13:00"),
    ],
)
def test_a_moment_is_told_as_people_say_it(moment: datetime | None, text: str) -> None:
    """In the viewer's zone; what lies ahead, by a clock that was set back, is not «ahora» for a day, nor negative."""
    told = when(moment, now=_NOW, zone=_MADRID)

    assert told == text


@pytest.mark.parametrize(("ms", "text"), [(0, "0 ms"), (999, "999 ms"), (1000, "1,0 s"), (15_240, "15,2 s")])
def test_a_duration_has_one_unit(ms: int, text: str) -> None:
    """Milliseconds below a second, seconds with a comma above."""
    assert duration(ms) == text


def _run(*steps: Step, verdict: str | None = "ok", running: bool = False) -> Run:
    return Run(
        id=1,
        cell="smtp",
        fingerprint="f",
        number=1,
        started=_NOW,
        steps=steps,
        verdict=Verdict(verdict, "", 1) if verdict else None,
        finished=None if running else _NOW,
    )


_GOOD = Step(Leg.SMTP, Stage.DNS, Status.OK)
_NOTED = Step(Leg.SMTP, Stage.RCPT_TO, Status.WARNING, key="greylisted")
_BAD = Step(Leg.SMTP, Stage.AUTH, Status.ERROR, key="bad_credentials")


@pytest.mark.parametrize(
    ("run", "fingerprint", "state"),
    [
        (None, "f", CellState.IDLE),
        (_run(_GOOD, running=True, verdict=None), "f", CellState.RUNNING),
        (_run(_GOOD), "f", CellState.PASSED),
        (_run(_GOOD, _NOTED, verdict="greylisted"), "f", CellState.PASSED),
        (_run(_BAD, verdict="bad_credentials"), "f", CellState.FAILED),
        (_run(_GOOD, verdict="broken"), "f", CellState.FAILED),
        (_run(_GOOD, verdict="interrupted"), "f", CellState.INTERRUPTED),
        (_run(_GOOD, verdict="interrupted"), "another", CellState.STALE),
        (_run(_GOOD), "another", CellState.STALE),
        (_run(_BAD, verdict="bad_credentials"), "another", CellState.STALE),
        (_run(_GOOD), None, CellState.PASSED),
    ],
)
def test_a_run_gives_its_cell_a_state(run: Run | None, fingerprint: str | None, state: CellState) -> None:
    """A warning passes, a run without verdict has failed, and what was edited since is stale."""
    assert state_of(run, fingerprint) is state


def test_every_state_has_a_word_a_colour_and_an_icon_of_its_own() -> None:
    """Colour never stands alone."""
    states = list(CellState)

    assert len({state.label for state in states}) == len(states)
    assert len({state.icon for state in states}) == len(states)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("client.showErrorDetails", "none"),
        ("client.allowedOrigins", []),
        ("client.toolbarMode", "minimal"),
        ("browser.gatherUsageStats", False),
        ("server.enableAgentApi", False),
        ("server.enableCORS", True),
        ("server.enableStaticServing", False),
        ("server.enableXsrfProtection", True),
        ("server.headless", True),
    ],
)
def test_what_is_pinned_is_in_force(option: str, value: object) -> None:
    """Streamlit has taken the value from the product's own file: nothing is told to anybody outside."""
    assert st.get_option(option) == value
    assert config.get_where_defined(option) == str(_CONFIG)


def test_an_error_of_ours_reaches_the_browser_without_its_words(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """One general sentence: no message, no type, no traceback."""

    def fail(_actor: Actor) -> NoReturn:
        raise ZeroDivisionError("clave-de-ana")

    ana = sign_in(workbench, "ana")
    monkeypatch.setattr(workbench.overview, "lines", fail)
    app = open_page(monkeypatch, workbench, ana, "overview.py")
    (shown,) = app.exception
    told = str(shown.proto)

    assert list(shown.proto.stack_trace) == []
    assert not [word for word in ("clave-de-ana", "ZeroDivisionError", "Traceback", "overview.py") if word in told]


def test_a_session_runs_one_script_at_a_time() -> None:
    """Two would change the same drafts at once; a click waits for the next line of the run before it."""
    pinned = tomllib.loads(_CONFIG.read_text(encoding="utf-8"))

    assert pinned["runner"]["fastReruns"] is False


def test_a_waiting_page_gives_way_to_what_is_asked_meanwhile() -> None:
    """The run ends where it waits, and the next one begins."""

    def script() -> None:
        from typing import Any

        import streamlit as st
        from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

        from pages.ui.runs import follow

        class Waiting:
            """Runs of which nothing is heard."""

            @property
            def runs(self):
                return self

            def follow(self, *_runs, idle, **_options):
                idle()
                told.append("went on")
                yield

        told = st.session_state.setdefault("told", [])
        told.append("began")
        if len(told) == 1:
            running = get_script_run_ctx()
            assert running is not None
            assert running.script_requests is not None
            running.script_requests.request_rerun(RerunData(page_script_hash=running.page_script_hash))
            waiting: Any = Waiting()
            list(follow(waiting, waiting))

    app = AppTest.from_function(script).run()

    assert not app.exception
    assert app.session_state["told"] == ["began", "began"]
