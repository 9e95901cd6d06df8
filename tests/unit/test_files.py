"""Pictures and downloads: who gets them, and what is said and logged where a download is not made."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.ForwardMsg_pb2 import BackendOperationResponse, ForwardMsg
from streamlit.runtime import app_session, memory_media_file_storage, memory_uploaded_file_manager
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileKind, MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec

from cgcore.errors import LoginEnded, NotAllowed, NotFound, StorageBusy
from cgcore.identity.actor import Actor, Role
from cgcore.texts import lookup
from cgcore.web.files import Files
from cgcore.web.gate import Gate
from cgcore.web.origins import AllowedOrigins
from cgcore.workbench import Workbench
from pages.ui import files
from pages.ui.files import AnsweringQueue, OwnDownloads, OwnFiles, guard_files, share_upload
from pages.ui.texts import common
from pages.ui.uploads import OwnUploads
from tests.servers.asgi import SITE, NoTabs, TestClient, answer_lifespan
from tests.servers.identity import PASSWORD, add_user

OPERATOR = Actor(0, "", role=Role.ADMIN)


class Shelf(NoTabs):
    """Streamlit's files in small, and the app that hands out each one that is asked for."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}

    def may_have(self, session_hash: str, file: str) -> bool:
        return self.owners.get(file) == session_hash

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"S3cr3t"})


def test_what_is_replaced_of_streamlit_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storages, handler of downloads, queue of a tab, and the copy of an upload, else made of its bytes at each run."""
    storage, session = vars(memory_media_file_storage), vars(app_session)
    monkeypatch.setitem(session, "ForwardMsgQueue", None)
    monkeypatch.setitem(vars(memory_uploaded_file_manager), "MemoryUploadedFileManager", None)
    monkeypatch.setitem(storage, "MemoryMediaFileStorage", None)
    monkeypatch.setitem(session, "DeferredFileHandler", None)
    monkeypatch.setattr(UploadedFile, "__deepcopy__", None, raising=False)
    guard_files()
    upload = UploadedFile(UploadedFileRec("1", "a.pdf", "application/pdf", b"%PDF" * 9), FileURLs())

    assert (storage["MemoryMediaFileStorage"], session["DeferredFileHandler"]) == (OwnFiles, OwnDownloads)
    assert session["ForwardMsgQueue"] is AnsweringQueue
    assert vars(memory_uploaded_file_manager)["MemoryUploadedFileManager"] is OwnUploads
    assert vars(UploadedFile)["__deepcopy__"] is share_upload
    assert copy.deepcopy(upload).getvalue() == b"%PDF" * 9


@pytest.mark.parametrize("fragments", [None, ["a"]])
def test_a_run_that_begins_throws_no_answer_away(fragments: list[str] | None) -> None:
    """Where a file goes and stands, a sign of life, where to leave to: once each, whatever begins meanwhile."""
    asked = [ForwardMsg() for _ in range(4)]
    asked[0].file_urls_response.response_id = "1"
    asked[1].backend_operation_response.request_id = "2"
    asked[2].heartbeat_ack = True
    asked[3].auth_redirect.url = "/entrar"
    drawn = ForwardMsg()
    drawn.delta.new_element.text.body = "drawn before"
    queue = AnsweringQueue()
    for message in (*asked[:2], drawn, *asked[2:]):
        queue.enqueue(message)

    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=fragments)

    kept = queue.flush()
    assert queue.flush() == [], "what was sent is sent once"
    assert [each for each in kept if each.WhichOneof("type") != "delta"] == asked
    assert fragments or drawn not in kept


@pytest.fixture
def shelf() -> Shelf:
    """What stands behind the gate."""
    return Shelf()


@pytest.fixture
def client(workbench: Workbench, shelf: Shelf) -> Iterator[TestClient]:
    """Ana's browser; ``own.png`` is hers, ``other.png`` is of another log-in of hers."""
    add_user(workbench)
    other, known = (workbench.identity.sessions.log_in("ana", PASSWORD) for _ in range(2))
    shelf.owners = {"own.png": known.actor.session_hash, "other.png": other.actor.session_hash}
    gate = Gate(Files(shelf, shelf), get_workbench=lambda: workbench, origins=AllowedOrigins())
    with TestClient(gate, base_url=SITE, follow_redirects=False) as client:
        client.cookies.set("cg_session", known.token.reveal())
        yield client


def test_a_file_is_given_to_the_log_in_that_it_was_drawn_for(client: TestClient) -> None:
    """A second log-in of the same person has not drawn it, and of what nobody has drawn the answer is the same."""
    answers = {file: client.get(f"/media/{file}") for file in ("own.png", "other.png", "none.png", "")}
    heads = [client.head("/media/other.png").status_code, client.get("/%6dedia/other.png").status_code]

    assert {file: answer.status_code for file, answer in answers.items()} == {
        "own.png": 200,
        "other.png": 404,
        "none.png": 404,
        "": 404,
    }
    assert answers["other.png"].text == answers["none.png"].text == "Este archivo no existe, o no es de tu sesión."
    assert heads == [404, 404]


def test_a_log_in_that_has_ended_gets_no_file_and_no_log_in_page_in_its_place(
    client: TestClient, workbench: Workbench
) -> None:
    """A redirect would be saved under the name of the download."""
    before = client.get("/media/own.png").status_code
    workbench.identity.accounts.end_sessions_of(OPERATOR, "ana")
    after = client.get("/media/own.png")

    assert before == 200
    assert (after.status_code, after.headers.get("location")) == (404, None)
    assert "S3cr3t" not in after.text


def test_a_file_is_kept_for_everybody_who_drew_it_until_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages with the same picture share it; when no page holds it any more its owners are forgotten too."""
    store, drawing = OwnFiles("/media"), ["ana", "eva", None]
    monkeypatch.setattr(files, "_find_owner", lambda: drawing.pop(0))
    ids = {store.load_and_get_id(b"x", "image/png", MediaFileKind.MEDIA, "x.png") for _ in range(3)}
    kept = ids.pop()
    had = [store.belongs_to(person, kept) for person in ("ana", "eva", "zoe", "")]
    store.delete_file(kept)

    assert ids == set()
    assert had == [True, True, False, False]
    assert not store.belongs_to("ana", kept)


def _ask(monkeypatch: pytest.MonkeyPatch, make: Any, *, log_ins: dict[str, str]) -> BackendOperationResponse:
    """Ask in the session ``mine`` for what the session ``drawn`` has drawn."""
    manager = MediaFileManager(MemoryMediaFileStorage("/media"))
    monkeypatch.setattr("streamlit.runtime.media_file_manager._get_session_id", lambda: "drawn")
    monkeypatch.setattr(files, "_log_in_of", log_ins.get)
    request = BackendOperationRequest(request_id="1")
    request.deferred_file.file_id = manager.add_deferred(make, "text/plain", "1")
    return asyncio.run(OwnDownloads(lambda: manager).handle(request, "mine"))


@pytest.mark.parametrize("log_ins", [{"mine": "a", "drawn": "b"}, {"drawn": "b"}, {"mine": "a"}, {}])
def test_a_download_that_another_log_in_has_drawn_does_not_even_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, log_ins: dict[str, str]
) -> None:
    """Nor one whose session, or whose asker's session, is not known."""
    ran: list[str] = []
    answer = _ask(monkeypatch, lambda: ran.append("ran") or "S3cr3t", log_ins=log_ins)

    assert ran == []
    assert (answer.error_msg, answer.deferred_file.url) == (common.DOWNLOAD_GONE, "")
    assert [record.getMessage() for record in caplog.records] == ["a download was not made (not_found)"]


def test_the_own_download_runs_in_every_session_of_its_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tab that drew it may have come back as another session."""
    answer = _ask(monkeypatch, lambda: "hola", log_ins={"mine": "a", "drawn": "a"})

    assert answer.error_msg == ""
    assert answer.deferred_file.url.startswith("/media/")


@pytest.mark.parametrize(
    ("error", "said", "logged"),
    [
        (NotAllowed("S3cr3t"), common.NOT_ALLOWED, "not_allowed"),
        (LoginEnded("S3cr3t"), common.LOGIN_ENDED, "login_ended"),
        (NotFound("S3cr3t"), common.DOWNLOAD_GONE, "not_found"),
        (StorageBusy("S3cr3t"), lookup("cgcore.storage", "")["storage_busy"], "storage_busy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_download_that_is_refused_says_why_and_leaves_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, said: str, logged: str
) -> None:
    """In Spanish, beside the button; no traceback, and nothing of what the error says."""

    def refuse() -> str:
        raise error

    answer = _ask(monkeypatch, refuse, log_ins={"mine": "a", "drawn": "a"})

    assert answer.error_msg == said
    assert [(record.levelno, record.getMessage(), record.exc_info) for record in caplog.records] == [
        (logging.WARNING, f"a download was not made ({logged})", None)
    ]


def test_a_download_that_breaks_is_our_fault_and_the_log_has_all_of_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that is wrong is looked for in the log; the browser has a sentence."""
    answer = _ask(monkeypatch, lambda: {}["S3cr3t"], log_ins={"mine": "a", "drawn": "a"})

    assert answer.error_msg == common.OUR_FAULT
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [MediaFileStorageError]


def test_a_download_is_made_with_the_rights_of_the_moment(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Who acts is looked up by the log-in when it runs; what the page knew of them does not count."""
    add_user(workbench)
    ana = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    monkeypatch.setattr(files, "get_workbench", lambda: workbench)
    before = files._find_present(ana.session_hash)
    workbench.identity.accounts.end_sessions_of(OPERATOR, "ana")

    assert replace(before, ip=ana.ip) == ana
    for log_in in (ana.session_hash, "", None):
        with pytest.raises(LoginEnded):
            files._find_present(log_in)
