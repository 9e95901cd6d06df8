"""The description of the API, and the API held against it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cgcore.settings import Settings
from cgcore.storage.database import open_database
from cgcore.texts import lookup
from cgcore.web.api.problems import TEXTS, ApiProblem, ProblemCode, field_problem
from cgcore.web.api.scopes import Allowance
from cgcore.workbench import Workbench
from tests.conftest import make_settings
from tests.servers.api_server import ApiServer, serve_api
from tests.servers.api_users import add_person, issue_key

_CONFIG = Path(__file__).parents[1] / "data" / "schemathesis.toml"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No private network, no sandbox: a generated host leads nowhere."""
    return make_settings(tmp_path, sandbox="off", mail_allow_private="")


@pytest.fixture
def api(settings: Settings) -> Iterator[tuple[ApiServer, str]]:
    """A server without a limit of calls, and a key for it."""
    bench = Workbench(settings, open_database(settings.resolved_database_url()))
    key = issue_key(bench, add_person(bench, "ana")).key.reveal()
    with serve_api(bench, allowance=Allowance(capacity=10**9)) as server:
        yield server, key
    bench.close()


@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing(api: tuple[ApiServer, str], tmp_path: Path) -> None:
    """Generated requests, right and wrong, are answered as described: no 500, no undocumented answer, no bypass."""
    server, key = api
    program = Path(sys.executable).parent / "schemathesis"
    command = [str(program), "--config-file", str(_CONFIG), "run", f"{server.url}/openapi.json", "--url", server.url]
    options = ["--header", f"Authorization: Bearer {key}", "--max-examples", "5", "--seed", "1", "--no-color"]
    # The key revokes itself there, and every later call would be refused.
    done = subprocess.run(
        [*command, *options, "--exclude-operation-id", "revoke_key"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:]
    assert "Tested: 34" in done.stdout
    with server.client(key) as client:
        assert client.get("/me").status_code == 200


class GeneratedClient:
    """A client that knows nothing but the description: one method an operation."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.document: dict[str, Any] = client.get("/openapi.json").json()
        self._operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        }

    def names(self) -> set[str]:
        return set(self._operations)

    def call(self, name: str, body: Any = None, *, etag: str = "", key: str = "", **path: str) -> httpx.Response:
        """Call an operation and hold the answer's status and type against what is described."""
        method, template, operation = self._operations[name]
        headers = {"If-Match": etag} if etag else {"Idempotency-Key": key} if key else {}
        answer = self._client.request(method, template.format(**path), json=body, headers=headers)
        described = operation["responses"][str(answer.status_code)]
        content_type = answer.headers.get("Content-Type", "")
        assert content_type in described.get("content", {"": {}}), (name, content_type)
        return answer


def test_a_client_made_from_the_description_walks_every_route(api: tuple[ApiServer, str]) -> None:
    """Reads what it writes, with the version it read, and leaves by revoking its own key."""
    server, key = api
    with server.client(key) as client:
        walk = GeneratedClient(client)
        seen: dict[str, int] = {}

        def step(name: str, body: Any = None, **more: str) -> httpx.Response:
            answer = walk.call(name, body, **more)
            seen[name] = answer.status_code
            return answer

        assert step("get_me").json()["user"]["username"] == "ana"
        account = step("get_mail_account")
        written = {**account.json(), "user": "ana@ejemplo.es", "sent_folder": "Enviados"}
        stored = step("put_mail_account", written, etag=account.headers["ETag"])
        assert {**stored.json(), "version": 0} == written
        patched = step("patch_mail_account", {"smtp": {"port": 465}}, etag=stored.headers["ETag"])
        assert patched.json()["smtp"]["port"] == 465
        assert step("get_mail_account").json() == patched.json()
        assert step("put_mail_watch", {"enabled": False}).json()["enabled"] is False
        assert step("get_mail_watch").json() == {"enabled": False, "looked": None, "troubles": []}
        assert step("put_bounce_search", {"enabled": True}).json()["enabled"] is True
        assert step("get_bounce_search").json() == {"enabled": True, "looked": None, "key": "", "unassigned": []}
        types = [entry["code"] for entry in step("list_document_types").json() if entry["template"]]
        for code in types:
            template = step("get_template", type=code)
            changed = {**template.json(), "subject": "Va el {documento}"}
            saved = step("put_template", changed, etag=template.headers["ETag"], type=code)
            assert step("get_template", type=code).json() == saved.json()
        signature = step("get_signature")
        step("put_signature", {"html": "<p>Ana</p>"}, etag=signature.headers["ETag"])
        rendered = step("render_template", {"variables": {"serie": "A"}}, type=types[0]).json()
        assert rendered["subject"] == "Va el Presupuesto"
        assert "Ana" in rendered["text"]
        step("list_series")
        defaults = step("get_series_defaults")
        step("put_series_defaults", {types[0]: None}, etag=defaults.headers["ETag"])
        assert step("explain_reply", {"protocol": "smtp", "text": "535 5.7.8 no"}).json()["fix"]
        assert step("discover_mail_servers", {"address": "sin arroba"}).json()["reason"] == "invalid_address"
        step("probe_mail_account", {"leg": "imap", "imap": {"host": "imap.ejemplo.invalid"}, "password": "x"})
        assert step("list_activity").json()["items"]
        document = {"type": "quote", "series": "P", "number": "7", "to": ["eva@ejemplo.es"]}
        refused = step("post_message", document, key="uno")
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_series")
        assert step("list_messages").json() == {"items": [], "next": None}
        for name in ("get_message", "get_message_raw", "follow_message"):
            assert step(name, id="0").status_code == 404
        for name in (
            *("cancel_message", "skip_rest_of_message", "send_message_now", "resend_message", "look_for_message"),
        ):
            assert step(name, id="0").status_code == 404
        assert step("resolve_message", {"outcome": "sent"}, id="0").status_code == 404
        step("pair_device", {"code": "no es uno", "device": "Móvil"})
        new = step("roll_key").json()
        step("revoke_key")

        assert set(seen) == walk.names()
        # Without a stored message there is nothing to change; test_api_messages.py has some.
        of_messages = {name for name in seen if name.endswith("_message") or "_message_" in name}
        assert {name for name, status in seen.items() if status >= 300} == {"pair_device", *of_messages}
        assert client.get("/me").status_code == 401
    with server.client(new["key"]) as client:
        assert client.get("/me").status_code == 200


def test_a_code_never_changes() -> None:
    """Programs compare them: one may be added here, none renamed, dropped or given another status."""
    assert {code.value: code.status for code in ProblemCode} == {
        "bad_request": 400,
        "bytes_removed": 410,
        "invalid_json": 400,
        "body_too_deep": 400,
        "key_in_wrong_place": 400,
        "unauthorized": 401,
        "scope_missing": 403,
        "not_allowed": 403,
        "not_found": 404,
        "method_not_allowed": 405,
        "stale_version": 412,
        "body_too_large": 413,
        "unsupported_media_type": 415,
        "invalid_input": 422,
        "precondition_required": 428,
        "too_many_requests": 429,
        "internal": 500,
        "store_unavailable": 503,
        "store_busy": 503,
        "store_full": 507,
        "store_read_only": 503,
        "vault_unavailable": 503,
        "idempotency_key_missing": 400,
        "not_connected": 409,
        "idempotency_key_form": 400,
        "idempotency_key_reused": 422,
        "still_storing": 409,
        "unsendable": 422,
        "account_missing": 409,
        "too_late": 409,
        "not_searched": 409,
        "looking": 409,
        "message_too_large": 413,
        "unknown_type": 422,
        "unknown_series": 422,
        "empty_attachment": 422,
        "too_many_recipients": 422,
    }


@pytest.mark.parametrize("code", ProblemCode)
def test_a_problem_is_a_document_of_rfc_9457(code: ProblemCode) -> None:
    """Its type leads to the documentation's line of that code, its status is the answer's, its detail a sentence."""
    values = {"scope": "read", "limit": 1, "position": 1, "seconds": 1}
    answer = ApiProblem(code, errors=[field_problem("smtp.host", "missing", {})], **values).to_response()
    document = json.loads(bytes(answer.body))

    assert answer.media_type == "application/problem+json"
    assert (document["type"], document["code"]) == (f"/api/v1/docs#{code}", code)
    assert document["status"] == answer.status_code == code.status
    assert document["title"]
    assert document["detail"].endswith(".")
    assert "{" not in document["detail"]
    assert document["errors"] == [{"field": "smtp.host", "code": "missing", "message": "Falta este dato."}]


def test_every_code_and_every_route_has_its_words(api: tuple[ApiServer, str]) -> None:
    """No code without title and sentence, no route without summary, and no words for what does not exist."""
    server, _ = api
    with server.client() as client:
        walk = GeneratedClient(client)
    texts = lookup(TEXTS, "")

    assert set(texts["titles"]) == set(texts["details"]) == {code.value for code in ProblemCode}
    assert set(texts["routes"]) == walk.names()


def test_the_description_says_how_to_identify(api: tuple[ApiServer, str]) -> None:
    """OpenAPI 3.1, both headers, the scope of each route, and no security only where none is asked."""
    server, _ = api
    with server.client() as client:
        document = client.get("/openapi.json").json()
    operations = {entry["operationId"]: entry for methods in document["paths"].values() for entry in methods.values()}

    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/api/v1"}]
    assert [name for name, entry in operations.items() if entry["security"] == []] == ["pair_device"]
    assert operations["get_me"]["x-scope"] == "read"
    assert operations["probe_mail_account"]["x-scope"] == "send"
    assert "422" not in str(document["components"]["schemas"].get("HTTPValidationError"))
