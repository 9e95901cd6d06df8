"""Warm start to a healthy answer, against an empty Streamlit application."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from bench.figures import Figure, median_ratio
from tests.servers.daemon import free_ports, make_folder, remove
from tests.servers.product import ROOT, product_environment, run_product

_ROUNDS = 5


def run() -> list[Figure]:
    """Return the ratio of start times; the data folder exists and stands at the newest revision."""
    folder = make_folder("cg-start-")
    empty = folder / "empty.py"
    empty.write_text("import streamlit as st\n")
    environment = product_environment(folder)
    with run_product(folder, environment=environment):
        pass  # the first start migrates and makes the keys
    ratio, note = median_ratio(
        lambda: _start("streamlit_app.py", "/salud", environment),
        lambda: _start(str(empty), "/_stcore/health", environment),
        rounds=_ROUNDS,
    )
    remove(folder)
    return [Figure("warm start to /salud / an empty Streamlit app", ratio, 1.5, note=note)]


def _start(script: str, path: str, environment: Mapping[str, str]) -> None:
    port = free_ports(1)[0]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        script,
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.01)
        raise RuntimeError(f"{Path(script).name} did not start")
    finally:
        process.kill()
        process.wait()
