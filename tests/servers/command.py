"""``python -m cgcore`` without a process of its own: its start costs more than most of what a test asks of it."""

from __future__ import annotations

import io
import logging
import sys
from contextvars import copy_context
from subprocess import CompletedProcess

import pytest

from cgcore.cli import main

__all__ = ["run_command"]


def run_command(*arguments: str, given: str = "", **environment: str) -> CompletedProcess[str]:
    """Run the command line here as a process would: own standard streams, ``environment`` set besides, exit code.

    What a process brings along with it (how it decodes arguments, what it keeps open, a fault while it starts) is not
    seen here: each file keeps a test that starts one.
    """
    streams = [io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", write_through=True) for text in (given, "", "")]
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        for name, value in environment.items():
            patch.setenv(name, value)
        # The language that a command speaks is its own. How it logs is that of a process, and is given back.
        records = logging.getLogRecordFactory()
        try:
            code = copy_context().run(_run, list(arguments))
        finally:
            logging.setLogRecordFactory(records)
    told = [stream.buffer.getvalue().decode() for stream in streams[1:] if isinstance(stream.buffer, io.BytesIO)]
    return CompletedProcess(arguments, code, *told)


def _run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int), code
    return code
