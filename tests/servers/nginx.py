"""nginx from Debian before the product: its own configuration as installed, with one site added."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.certificates import Certificate
from tests.servers.daemon import Daemon, free_ports, make_folder, remove

__all__ = ["DeployedNginx", "Nginx", "nginx_installed"]

_BINARY = Path("/usr/sbin/nginx")
_INSTALLED = Path("/etc/nginx/nginx.conf")
_SITE = """
  server {{
    listen 127.0.0.1:{port}{ssl};
    {certificate}
    {extra}
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      {headers}
    }}
  }}
"""


def nginx_installed() -> bool:
    """Return whether it can be started here."""
    return _BINARY.exists() and _INSTALLED.exists()


_DEPLOYED = Path(__file__).parents[2] / "deploy" / "nginx.conf"


class Nginx:
    """A reverse proxy with TLS on ``https://localhost:<port>``; the product listens at ``upstream``.

    Besides where to pass requests on, and a websocket, it knows only ``headers`` and ``extra``; everything else, its
    buffers above all, is as Debian delivers it.
    """

    def __init__(self, certificate: Certificate, upstream: int, *, headers: str = "", extra: str = "") -> None:
        self.port = free_ports(1)[0]
        self.url = f"https://localhost:{self.port}"
        self._folder = make_folder("cg-nginx-")
        self._site = _SITE.format(
            port=self.port,
            ssl=" ssl",
            certificate=f"ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};",
            upstream=upstream,
            headers=headers,
            extra=extra,
        )

    @property
    def log(self) -> str:
        """What it had to say, its complaints about the product among it."""
        return (self._folder / "error.log").read_text()

    def __enter__(self) -> Self:
        configuration = self._folder / "nginx.conf"
        configuration.write_text(self._configuration())
        command = [str(_BINARY), "-c", str(configuration), "-g", "daemon off;"]
        self._daemon = Daemon(command, self._folder / "output.log")
        self._daemon.wait_for([self.port])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.stop()
        remove(self._folder)

    def _configuration(self) -> str:
        """Return the installed file; only its places on the disk and its sites are ours."""
        installed = _INSTALLED.read_text()
        for directive, value in (
            ("pid", self._folder / "nginx.pid"),
            ("error_log", self._folder / "error.log"),
            ("access_log", self._folder / "access.log"),
        ):
            installed = re.sub(rf"(?m)^(\s*){directive} [^;]*;", rf"\g<1>{directive} {value};", installed)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"  {kind}_temp_path {self._folder / kind};\n" for kind in kinds)
        sites = r"(?m)^\s*include /etc/nginx/conf\.d/\*\.conf;\s*include /etc/nginx/sites-enabled/\*;\n"
        changed, found = re.subn(sites, lambda _: places + self._site, installed)
        if not found:
            raise RuntimeError("the installed nginx.conf names its sites otherwise")
        return changed


class DeployedNginx(Nginx):
    """nginx with ``deploy/nginx.conf``, of which only what it says to change is changed."""

    def __init__(self, certificate: Certificate, upstreams: Sequence[int]) -> None:
        super().__init__(certificate, upstreams[0])
        site = _DEPLOYED.read_text()
        for pattern, text in (
            (r"127\.0\.0\.1:8501", f"127.0.0.1:{upstreams[0]}"),
            (r"127\.0\.0\.1:8502", f"127.0.0.1:{upstreams[1]}"),
            (r"listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            (r"server_name config\.example\.es;", "server_name localhost;"),
            (r"/etc/ssl/certs/config\.example\.es\.pem", str(certificate.chain)),
            (r"/etc/ssl/private/config\.example\.es\.key", str(certificate.key)),
        ):
            site, found = re.subn(pattern, text, site)
            assert found == (2 if ":850" in pattern else 1), pattern
        self._site = site
