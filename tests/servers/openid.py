"""A real OpenID provider for the tests: own key and port, pages that a browser can click, ends by itself."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx

from tests.servers.certificates import Certificate, Certificates
from tests.servers.daemon import Daemon, free_ports, make_folder, remove
from tests.servers.tokens import TokenIssuer

__all__ = ["Fault", "OpenIdProvider", "openid_installed"]

_PROGRAM = Path(__file__).with_suffix(".mjs")
_PACKAGE = Path(__file__).parents[1] / "node_modules" / "oidc-provider"


def openid_installed() -> bool:
    """Return whether Node and the locked package are there."""
    return shutil.which("node") is not None and _PACKAGE.exists()


@dataclass(frozen=True, slots=True)
class Fault:
    """What a path answers instead of the provider's own answer; a text goes out as it is, all else as JSON."""

    status: int
    body: Any = ""
    headers: Mapping[str, str] | None = None


class OpenIdProvider:
    """A running provider at ``url`` (https, by the trusted certificate) with one confidential client, and one
    without a secret that may use codes alone.

    It demands PKCE, asks for consent with a box for the mail permission, gives a new refresh token with every use and
    ends the whole family when an old one comes again. Anybody may log in, with the address as name. Access tokens are
    JWT signed with the key of ``issuer``: a Dovecot that is given this issuer takes them, a Postfix over it too.
    The port of a loopback address in ``redirect_uris`` does not count, as with Microsoft.
    """

    client_id = "cuenta-de-prueba"
    public_id = "cuenta-sin-secreto"
    client_secret = "s3creto-del-cliente-de-prueba"
    scopes = ("openid", "email", "offline_access", "mail")

    def __init__(
        self,
        certificates: Certificates,
        *,
        redirect_uris: Sequence[str] = ("http://localhost/oauth/vuelta/custom", "http://127.0.0.1/oauth/vuelta/custom"),
        client_auth: str = "client_secret_post",
    ) -> None:
        self._trust = ssl.create_default_context(cafile=certificates.ca_file)
        self._certificate: Certificate = certificates.trusted
        self._redirect_uris, self._client_auth = redirect_uris, client_auth
        (self.port,) = free_ports(1)
        self.url = f"https://localhost:{self.port}"
        self.issuer = TokenIssuer(self.url)
        self.folder = make_folder("cg-openid-")

    def __enter__(self) -> Self:
        key = self.folder / "signing.key"
        key.write_bytes(self.issuer.private_pem)
        settings = self.folder / "settings.json"
        settings.write_text(
            json.dumps(
                {
                    "issuer": self.url,
                    "port": self.port,
                    "chain": str(self._certificate.chain),
                    "key": str(self._certificate.key),
                    "signing_key": str(key),
                    "key_id": self.issuer.key_id,
                    "client_id": self.client_id,
                    "public_id": self.public_id,
                    "client_secret": self.client_secret,
                    "client_auth": self._client_auth,
                    "redirect_uris": list(self._redirect_uris),
                }
            )
        )
        self._daemon = Daemon(["node", str(_PROGRAM), str(settings)], self.folder / "log")
        self._daemon.wait_for([self.port])
        self.http = httpx.Client(base_url=self.url, verify=self._trust, timeout=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self._daemon.stop()
        remove(self.folder)

    def order(
        self, *, seconds: int | None = None, faults: Mapping[str, Fault] | None = None, forgiving: bool | None = None
    ) -> None:
        """Change what comes next: how long access tokens live, and which paths answer with a fault.

        With ``seconds`` below 0 a token has run out already, though its ``expires_in`` says an hour. A ``forgiving``
        provider takes a refresh token again that was used before, as Google and Microsoft do.
        ``faults`` replaces those of before; an empty mapping ends them.
        """
        told: dict[str, Any] = {"seconds": seconds, "forgiving": forgiving}
        told = {name: value for name, value in told.items() if value is not None}
        if faults is not None:
            told["faults"] = {
                path: {"status": fault.status, "body": fault.body, "headers": dict(fault.headers or {})}
                for path, fault in faults.items()
            }
        self.http.post("/test/orders", json=told).raise_for_status()

    def reset(self) -> None:
        """Forget faults and what was asked; tokens that were given stay good."""
        self.http.post(
            "/test/orders", json={"seconds": 3600, "faults": {}, "forgiving": False, "forget": True}
        ).raise_for_status()

    def asked(self, path: str) -> list[dict[str, Any]]:
        """Return what was asked of ``path``, oldest first: ``method``, ``grant`` (at ``/token``) and ``status``."""
        entries: list[dict[str, Any]] = self.http.get("/test/orders").raise_for_status().json()
        return [entry for entry in entries if entry["path"] == path]

    def walk(self, url: str, user: str, *, mail: bool = True, cancel: bool = False) -> str:
        """Click through the pages behind ``url`` as a person does; return the address that they lead back to.

        ``user`` logs in; without ``mail`` its box is left off; ``cancel`` refuses at the consent page.
        """
        with httpx.Client(verify=self._trust, timeout=10) as client:
            answer = client.get(url)
            while True:
                while answer.is_redirect:
                    target = urljoin(str(answer.url), answer.headers["location"])
                    if not target.startswith(self.url):
                        return target
                    answer = client.get(target)
                assert answer.status_code == 200, answer.text
                form = _Form(answer.text)
                consents = form.fields.get("step") == "consent"
                fields = form.fields | ({} if consents else {"login": user})
                if consents and not mail:
                    del fields["mail"]
                if consents and cancel:
                    fields = {"step": "abort"}
                answer = client.post(urljoin(str(answer.url), form.action), data=fields)

    def type_code(self, code: str, user: str, *, mail: bool = True, cancel: bool = False) -> None:
        """Type a code at the page for codes as a person does, on a device of its own; else as :meth:`walk`."""
        with httpx.Client(verify=self._trust, timeout=10, follow_redirects=True) as client:
            answer = client.get(f"{self.url}/device")
            while "<form" in answer.text:
                form = _Form(answer.text)
                fields = form.fields
                if "confirm" not in fields and "user_code" in fields:
                    fields = fields | {"user_code": code}
                elif fields.get("step") == "login":
                    fields = fields | {"login": user}
                elif fields.get("step") == "consent" and cancel:
                    fields = {"step": "abort"}
                elif fields.get("step") == "consent" and not mail:
                    fields = {name: value for name, value in fields.items() if name != "mail"}
                answer = client.post(urljoin(str(answer.url), form.action), data=fields)
                if cancel and "abort" in fields.values():
                    return
            assert "Ya puedes volver" in answer.text, answer.text


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self._open = False
        self.feed(page)
        assert self.action, page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and not self.action:
            self.action, self._open = given.get("action") or "", True
        elif tag == "input" and self._open:
            self.fields[given.get("name") or ""] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"
