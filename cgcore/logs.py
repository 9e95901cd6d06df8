"""The log: one line an event, whoever writes it, and nothing from outside can look like another line."""

from __future__ import annotations

import logging
import re
import traceback
from typing import Any

__all__ = ["LineRecord", "install_line_log", "one_line"]

_MAX_MESSAGE = 4000
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
# Whatever ends a line, moves the cursor, turns the direction round, or cannot be written (CWE-117, CWE-150).
_ACTIVE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_BESIDE = "  | "


def install_line_log() -> None:
    """Make every record of every logger of this process, libraries' included, a :class:`LineRecord`."""
    logging.setLogRecordFactory(LineRecord)


def one_line(text: str, limit: int = _MAX_MESSAGE) -> str:
    """Return ``text`` on one line, bounded: what is active in it is written as its escape, ``\\n`` for a line feed."""
    bare = _COLOUR.sub("", text) if "\x1b" in text else text
    if len(bare) > limit:
        bare = f"{bare[:limit]}… (+{len(bare) - limit})"
    return _ACTIVE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), bare)


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
