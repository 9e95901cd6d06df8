"""Caddy from Debian with ``deploy/Caddyfile`` as it stands; its two settings come from the environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.daemon import Daemon, free_ports, make_folder, remove

__all__ = ["Caddy", "caddy_installed"]

_BINARY = Path("/usr/bin/caddy")
_FILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"


def caddy_installed() -> bool:
    """Return whether it can be started here."""
    return _BINARY.exists()


class Caddy:
    """A reverse proxy on ``http://localhost:<port>``; the product listens at each of ``upstreams``."""

    def __init__(self, upstreams: Sequence[int]) -> None:
        self.port, self._admin = free_ports(2)
        self.url = f"http://localhost:{self.port}"
        self._upstreams = " ".join(f"127.0.0.1:{port}" for port in upstreams)
        self._folder = make_folder("cg-caddy-")

    def __enter__(self) -> Self:
        environment = {
            "CG_SITE": self.url,
            "CG_UPSTREAMS": self._upstreams,
            "CADDY_ADMIN": f"127.0.0.1:{self._admin}",
            "HOME": str(self._folder),
            "PATH": os.environ["PATH"],
        }
        given = [f"{name}={value}" for name, value in environment.items()]
        command = ["env", "-i", *given, str(_BINARY), "run", "--adapter", "caddyfile", "--config", str(_FILE)]
        self._daemon = Daemon(command, self._folder / "output.log")
        self._daemon.wait_for([self.port])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.stop()
        remove(self._folder)
