"""The log: one line an event, whatever is put into it, by whomever."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import uvicorn.logging

from cgcore.logs import install_json_log, install_line_log, one_line
from tests.servers.product import ROOT

FORGED = "x\r\n2026-11-24 INFO: ana logged in\x1b[2J\u2028y\u202ez\x85\ud800"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """A handler as any library would make one, on the root logger, over records of ours."""
    before = logging.getLogRecordFactory()
    install_line_log()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)
    logging.setLogRecordFactory(before)


def _open(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let records pass: Streamlit and a server that has run in this process keep theirs from the root."""
    for logger in map(logging.getLogger, names):
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "filters", [])
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        logger.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["cgcore", "streamlit.runtime.fragment", "uvicorn.error", "sqlalchemy.engine", "any"])
def test_a_forged_line_stays_inside_its_own(written: io.StringIO, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In the message, in an argument, in one that is no text: each event is one line, with nothing active in it."""
    log = logging.getLogger(name)
    _open(monkeypatch, name, "streamlit", "uvicorn")
    log.error("in the message " + FORGED)
    log.error("in an argument %s %d", FORGED, 3)
    log.error("in an object %s", ValueError(FORGED))
    log.error("by name %(a)s", {"a": FORGED})
    lines = written.getvalue().split("\n")

    assert [line.startswith("ERROR ") for line in lines] == [True] * 4 + [False]
    assert written.getvalue().isascii()
    assert all("x\\r\\n2026-11-24 INFO" in line for line in lines[:-1])


def test_an_exception_forges_no_line_either(written: io.StringIO) -> None:
    """The lines of a traceback are marked: none begins as an event does, whatever the exception says."""
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("cgcore").exception("broke")
    first, *rest = written.getvalue().rstrip("\n").split("\n")

    assert first == "ERROR broke"
    assert len(rest) > 3
    assert all(line.startswith("  | ") for line in rest)
    assert any("ana logged in" in line for line in rest)


def test_the_formatters_of_the_web_server_keep_to_it(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """They put the arguments together by themselves."""
    _open(monkeypatch, "uvicorn", "uvicorn.access")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(uvicorn.logging.AccessFormatter('%(client_addr)s "%(request_line)s"', use_colors=False))
    log = logging.getLogger("uvicorn.access")
    log.addHandler(handler)
    log.warning('%s - "%s %s HTTP/%s" %d', "192.0.2.1", "GET", FORGED, "1.1", 200)
    log.removeHandler(handler)

    assert stream.getvalue().count("\n") == 1
    assert "ana logged in" in stream.getvalue()
    assert written.getvalue().count("\n") == 1


def test_a_line_is_bounded_and_says_how_much_is_missing() -> None:
    """A hundred thousand letters are cut; colours go; letters of any script stay."""
    assert one_line("á" * 100_000) == "á" * 4000 + "… (+96000)"
    assert one_line("\x1b[1mñ\x1b[0m 👩‍👩‍👧\u00a0") == "ñ 👩‍👩‍👧\u00a0"


def test_a_log_of_json_is_one_object_a_line_whoever_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler with a form of its own, one that comes later, a traceback: what is outside looks like no other line."""
    monkeypatch.setattr(logging.Handler, "format", logging.Handler.format)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    for place, hook in (
        (warnings, "showwarning"),
        (sys, "excepthook"),
        (sys, "unraisablehook"),
        (threading, "excepthook"),
    ):
        monkeypatch.setattr(place, hook, getattr(place, hook))
    before = logging.getLogRecordFactory()
    install_json_log()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(uvicorn.logging.DefaultFormatter("%(levelprefix)s %(message)s"))
    logger = logging.Logger("some.library")
    logger.addHandler(handler)
    try:
        logger.warning("hola %s", 'x"\n{"level": "error"}')
        try:
            raise ValueError("S3cr3t\nline")
        except ValueError:
            logger.exception("it broke")
    finally:
        logging.setLogRecordFactory(before)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())

    assert (first["level"], first["logger"]) == ("warning", "some.library")
    assert first["message"] == 'hola x"\\n{"level": "error"}'
    assert (second["message"], second["trace"][-2:]) == ("it broke", ["ValueError: S3cr3t", "line"])
    assert set(first) == {"time", "level", "logger", "message"}


_BREAKS = """
import sys, threading, warnings
from cgcore.logs import install_json_log

class Lost:
    def __del__(self):
        raise ValueError("lost\\nline")

def fail():
    raise ValueError("in a thread\\nline")

install_json_log()
warnings.warn("careful\\nline")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Lost()
print("told\\ntwice")
raise ValueError("at the end\\nline")
"""


def test_what_nobody_catches_is_one_object_too() -> None:
    """In a thread, where it is thrown away, at the end of the program, and a warning: Python would use many lines."""
    ended = subprocess.run([sys.executable, "-c", _BREAKS], capture_output=True, text=True, check=False, cwd=ROOT)
    told, printed = ([json.loads(line) for line in said.splitlines()] for said in (ended.stderr, ended.stdout))
    warned, *broken = told

    assert ended.returncode == 1
    assert (warned["level"], "careful\\nline" in warned["message"]) == ("warning", True)
    assert [event["level"] for event in broken] == ["critical"] * 3
    assert [event["trace"][-2:] for event in broken] == [
        [f"ValueError: {words}", "line"] for words in ("in a thread", "lost", "at the end")
    ]
    assert [event["message"] for event in printed] == ["told", "twice"]
