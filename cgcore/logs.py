"""The log: one line an event, whoever writes it; nothing from outside looks like another line, none floods it."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO, cast

__all__ = [
    "EventStream",
    "LineRecord",
    "PlainStream",
    "RepeatLimit",
    "install_json_log",
    "install_line_log",
    "limit_repeats",
    "one_line",
]

_log = logging.getLogger(__name__)

_MAX_MESSAGE = 4000
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
# Whatever ends a line, moves the cursor, turns the direction round, or cannot be written (CWE-117, CWE-150).
_ACTIVE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_BESIDE = "  | "
_EVERY_S = 60.0
# Of one wording, and of all that one place says.
_OF_A_KIND, _OF_A_PLACE = 5, 200
_MOST_KINDS = 1000


def install_line_log() -> None:
    """Make every record of every logger of this process, libraries' included, a :class:`LineRecord`."""
    logging.setLogRecordFactory(LineRecord)


def install_json_log() -> None:
    """Make every handler of this process, libraries' and later ones included, write one JSON object a record.

    Which form a handler was given counts no more: some libraries give each logger its own at its first use. What is
    printed to standard output becomes a record too, and so does what Python itself would tell on several lines:
    warnings, and an exception that nobody catches, in any thread.
    """
    install_line_log()
    sys.stdout = cast("TextIO", EventStream(sys.stdout))
    logging.Handler.format = _format  # type: ignore[method-assign]
    warnings.showwarning = _log_warning
    sys.excepthook = _log_uncaught
    sys.unraisablehook = lambda lost: _log_uncaught(lost.exc_type, lost.exc_value, lost.exc_traceback)
    threading.excepthook = _log_uncaught_in_thread


def _log_warning(message: Warning | str, category: type[Warning], *_place: Any) -> None:
    _log.warning("%s: %s", category.__name__, message)


def _log_uncaught_in_thread(lost: threading.ExceptHookArgs) -> None:
    # As Python's own: a thread may end itself so.
    if lost.exc_type is not SystemExit:
        _log_uncaught(lost.exc_type, lost.exc_value, lost.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    _log.critical("nobody caught an exception", exc_info=(kind, error or kind(), trace))


def _format(_handler: logging.Handler, record: logging.LogRecord) -> str:
    return format_event(record)


def format_event(record: logging.LogRecord) -> str:
    """Return ``{"time", "level", "logger", "message"}``, and the lines of a traceback under ``trace``."""
    event: dict[str, Any] = {
        "time": _write_moment(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if record.exc_text:
        event["trace"] = [line.removeprefix(_BESIDE) for line in record.exc_text.split("\n")]
    return json.dumps(event, ensure_ascii=False)


class EventStream:
    """A stream that writes each line that is printed as an event of such a log; empty ones are none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        """Write every line that has ended."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, map(str.strip, lines)):
            record = logging.LogRecord("console", logging.INFO, "", 0, one_line(line), None, None)
            self._stream.write(format_event(record) + "\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Be the stream itself in everything else."""
        return getattr(self._stream, name)


def _write_moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def one_line(text: str, limit: int = _MAX_MESSAGE) -> str:
    """Return ``text`` on one line, bounded: what is active in it is written as its escape, ``\\n`` for a line feed."""
    bare = _COLOUR.sub("", text) if "\x1b" in text else text
    if len(bare) > limit:
        bare = f"{bare[:limit]}… (+{len(bare) - limit})"
    return _ACTIVE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), bare)


class PlainStream:
    """A stream to a terminal that writes what is active in a text as its escape, line by line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text; return how long it was."""
        self._stream.write("\n".join(map(one_line, text.split("\n"))))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Be the stream itself in everything else."""
        return getattr(self._stream, name)


class LineRecord(logging.LogRecord):
    """A record whose message is one line; the lines of a traceback stand behind a mark that no event begins with."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if isinstance(self.args, tuple):
            # Some formatters put the arguments together by themselves.
            self.args = tuple(one_line(value) if isinstance(value, str) else value for value in self.args)
        if self.exc_info and self.exc_info[0] is not None:
            told = "".join(traceback.format_exception(*self.exc_info))
            self.exc_text = "\n".join(_BESIDE + one_line(line) for line in told.rstrip("\n").split("\n"))

    def getMessage(self) -> str:
        """Return the message with its arguments, on one line."""
        return one_line(super().getMessage())


@dataclass(slots=True)
class _Seen:
    began: float
    count: int = 0


class RepeatLimit(logging.Filter):
    """A filter of log handlers: of lines of one kind, those of a place with the same wording, few in a minute pass."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int, str], _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written. The first one after a pause says how many were not."""
        wording = str(record.msg)[:200]
        of_the_place, _ = self._count(record.name, record.levelno, "")
        count, left_out = self._count(record.name, record.levelno, wording)
        if left_out:
            record.msg = f"{record.msg} [{left_out} more like this were left out]"
        return count <= _OF_A_KIND and of_the_place <= _OF_A_PLACE

    def _count(self, *kind: *tuple[str, int, str]) -> tuple[int, int]:
        """Return how many of the kind there were in this minute, and how many the last one left out."""
        now, seen = self._clock(), self._seen.get(kind)
        left_out = 0
        if seen is None or now - seen.began > _EVERY_S:
            if len(self._seen) >= _MOST_KINDS:
                self._seen.clear()
            left_out = max(0, seen.count - _OF_A_KIND) if seen else 0
            seen = self._seen[kind] = _Seen(now)
        seen.count += 1
        return seen.count, left_out


def limit_repeats() -> None:
    """Put one such filter before every handler that is set up in this process now."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    handlers: list[logging.Handler] = [handler for logger in loggers for handler in logger.handlers]
    for handler in (*handlers, *([logging.lastResort] if logging.lastResort else [])):
        if not any(isinstance(each, RepeatLimit) for each in handler.filters):
            handler.addFilter(RepeatLimit())
