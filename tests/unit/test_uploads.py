"""What may be uploaded: by whom, into which page, how much of it, and for how long it counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest, local_script_runner

from cgcore.server_facts import ServerFacts
from cgcore.web.assembly import Assembly
from cgcore.web.gate import Gate
from cgcore.web.origins import AllowedOrigins
from cgcore.web.uploads import UploadLimits, Uploads
from cgcore.workbench import Workbench
from pages.ui.uploads import OwnUploads
from tests.servers.asgi import SITE, TestClient, answer_lifespan
from tests.servers.identity import PASSWORD, add_user

LIMITS = UploadLimits(bytes_per_user=1000, files_per_user=3, bytes_in_all=1500)


class Pages:
    """Streamlit in small: takes whatever is uploaded, and knows its tabs."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.with_uploader: set[str] = set()
        self.shown: set[str] = set()
        self.stored: dict[tuple[str, str], int] = {}
        self.uploads = OwnUploads("/up")
        self.seen_coming: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"].startswith("/_stcore/upload_file/"):
            tab, file = scope["path"].split("/")[3:]
            if scope["method"] == "PUT":
                self.seen_coming.append(self.uploads.count_coming(tab))
                if body == b"broken":
                    raise OSError("the line is cut")
                self.stored[tab, file] = len(body)
                self.uploads.add_file(tab, UploadedFileRec(file, "a.pdf", "", body))
            elif scope["method"] == "DELETE":
                del self.stored[tab, file]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def find_owner(self, tab: str) -> str | None:
        return self.owners.get(tab)

    def may_have(self, session_hash: str, file: str) -> bool:  # noqa: ARG002
        return False

    def draws_uploader(self, tab: str) -> bool:
        return tab in self.with_uploader

    def list_uploads(self) -> dict[tuple[str, str], int]:
        return self.stored

    def list_shown_uploads(self, tab: str) -> set[str]:
        return self.shown if tab in self.owners else set()

    def begin_upload(self, tab: str, file: str) -> None:
        self.uploads.begin_upload(tab, file)

    def end_upload(self, tab: str, file: str) -> None:
        self.uploads.end_upload(tab, file)

    def drop_upload(self, tab: str, file: str) -> None:
        del self.stored[tab, file]


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pages() -> Pages:
    """What stands behind gate and limits."""
    return Pages()


@pytest.fixture
def clock() -> Clock:
    """The clock of the limits."""
    return Clock()


@pytest.fixture
def client(workbench: Workbench, pages: Pages, clock: Clock) -> Iterator[TestClient]:
    """Ana's browser: tab ``form`` shows an uploader, tab ``list`` shows none."""
    guarded = Uploads(pages, pages, LIMITS, clock)
    add_user(workbench)
    with TestClient(Gate(guarded, get_workbench=lambda: workbench, origins=AllowedOrigins()), base_url=SITE) as client:
        _open_tabs(workbench, pages, client)
        yield client


def _open_tabs(workbench: Workbench, pages: Pages, client: TestClient, *, prefix: str = "") -> None:
    known = workbench.identity.sessions.log_in("ana", PASSWORD)
    client.cookies.set("cg_session", known.token.reveal())
    client.headers["origin"] = SITE
    pages.owners |= {prefix + "form": known.actor.session_hash, prefix + "list": known.actor.session_hash}
    pages.with_uploader.add(prefix + "form")


def _put(client: TestClient, tab: str, file: str, size: int) -> int:
    return client.put(f"/_stcore/upload_file/{tab}/{file}", content=b"x" * size).status_code


def test_a_file_is_on_its_way_until_a_run_has_it_or_it_does_not_come(client: TestClient, pages: Pages) -> None:
    """While it comes and once it is here; refused, cut, or of somebody else's tab it is not waited for."""
    for tab, names in {"form": "ace", "list": "b", "nowhere": "d"}.items():
        pages.uploads.expect(tab, list(names))
    _put(client, "form", "a", 10)
    here = pages.uploads.count_coming("form")
    pages.uploads.get_files("form", ["a"])
    _put(client, "list", "b", 10)
    _put(client, "form", "c", 5000)
    _put(client, "nowhere", "d", 10)
    with pytest.raises(OSError, match="cut"):
        client.put("/_stcore/upload_file/form/e", content=b"broken")

    assert pages.seen_coming == [3, 1]
    assert here == 3
    # Whose tab that is nobody knows: it is waited for until it is given up.
    assert [pages.uploads.count_coming(tab) for tab in ("form", "list", "nowhere")] == [0, 0, 1]


def test_what_a_browser_gives_up_is_waited_for_a_moment_and_what_it_sends_for_as_long_as_it_takes(clock: Clock) -> None:
    """From the moment in which it asks where to send its files; a tab that ends has none, and another tab's stay."""
    uploads = OwnUploads("/up", clock)
    sent, _ = [place.file_id for place in uploads.get_upload_urls("form", ["a.pdf", "b.pdf"])]
    uploads.get_upload_urls("other", ["c.pdf"])
    asked = uploads.count_coming("form")
    uploads.begin_upload("form", sent)
    clock.now += 601
    alone = uploads.count_coming("form"), uploads.count_coming("other")
    clock.now += 3600
    uploads.add_file("form", UploadedFileRec(sent, "a.pdf", "", b"a"))
    uploads.end_upload("form", sent)
    here = uploads.count_coming("form")
    uploads.remove_file("form", sent)
    removed = uploads.count_coming("form")
    uploads.expect("form", ["again"])
    uploads.remove_session_files("form")

    assert (asked, alone, here, removed) == (2, (1, 0), 1, 0)
    assert uploads.count_coming("form") == 0


def test_a_file_that_is_sent_twice_is_waited_for_until_both_have_ended() -> None:
    """And one that nobody waits for any more is not waited for again because it comes after all."""
    uploads = OwnUploads("/up")
    uploads.expect("form", ["twice", "left"])
    for file in ("twice", "twice", "left"):
        uploads.begin_upload("form", file)
    uploads.end_upload("form", "twice")
    one_left = uploads.count_coming("form")
    uploads.end_upload("form", "twice")
    ended = uploads.count_coming("form")
    uploads.forget_coming("form")
    uploads.add_file("form", UploadedFileRec("left", "a.pdf", "", b"a"))
    uploads.end_upload("form", "left")
    uploads.begin_upload("form", "never asked for")

    assert (one_left, ended, uploads.count_coming("form")) == (2, 1, 0)


def _page() -> None:
    """A page that tells how many files it waits for."""
    import streamlit as st

    from pages.ui.uploads import begin_page, count_coming, forget_coming

    begin_page(st.session_state.get("shown", "form"))
    st.button("No esperar", key="forget", on_click=forget_coming)
    st.text(str(count_coming()))


def test_another_page_and_whoever_does_not_want_to_wait_forgets_what_is_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """The uploader of the page before has gone, its file may come for minutes."""
    uploads = OwnUploads("/up")
    monkeypatch.setattr(local_script_runner, "MemoryUploadedFileManager", lambda _: uploads)
    page = AppTest.from_function(_page).run()
    told: list[str] = []
    for step in ("same", "other", "forgotten"):
        uploads.expect("test session id", ["a", "b"])
        page.session_state["shown"] = "form" if step == "same" else "list"
        page = page.button("forget").click().run() if step == "forgotten" else page.run()
        told.append(page.text[0].value)

    assert told == ["2", "0", "0"]


def test_a_file_goes_only_where_an_uploader_is_drawn(client: TestClient, pages: Pages) -> None:
    """The own page with an uploader takes it; one without, and a page that is not there, say why."""
    answers = [_put(client, tab, "a", 10) for tab in ("form", "list", "nowhere")]
    words = client.put("/_stcore/upload_file/list/a", content=b"x").text

    assert answers == [204, 403, 403]
    assert words == "La página abierta no admite archivos."
    assert list(pages.stored) == [("form", "a")]


def test_nobody_uploads_into_or_deletes_from_somebody_elses_tab(
    workbench: Workbench, client: TestClient, pages: Pages
) -> None:
    """Not even another log-in of the same person, who knows the id of the session."""
    assert _put(client, "form", "a", 10) == 204
    other = TestClient(client.app, base_url=SITE)
    _open_tabs(workbench, pages, other, prefix="other-")

    answers = [_put(other, "form", "b", 10), other.delete("/_stcore/upload_file/form/a").status_code]

    assert answers == [403, 403]
    assert list(pages.stored) == [("form", "a")]
    assert client.delete("/_stcore/upload_file/form/a").status_code == 204


def test_one_person_keeps_so_many_bytes_and_files_over_all_tabs(
    workbench: Workbench, client: TestClient, pages: Pages
) -> None:
    """Counted over every log-in; a file that is replaced or gone counts no more."""
    other = TestClient(client.app, base_url=SITE)
    _open_tabs(workbench, pages, other, prefix="other-")
    pages.shown = {"a", "b", "c", "d"}

    assert [_put(client, "form", "a", 600), _put(other, "other-form", "b", 600)] == [204, 413]
    assert [_put(client, "form", "a", 300), _put(other, "other-form", "b", 600)] == [204, 204]
    assert [_put(client, "form", "c", 1), _put(client, "form", "d", 1)] == [204, 413]
    client.delete("/_stcore/upload_file/form/c")
    assert _put(client, "form", "d", 1) == 204
    del pages.stored["other-form", "b"]
    assert _put(client, "form", "e", 600) == 204


def test_a_file_that_no_uploader_shows_gives_way(client: TestClient, pages: Pages, clock: Clock) -> None:
    """Once it is not just arriving; what a page still shows stays, and the new one is refused."""
    pages.shown = {"kept"}
    assert [_put(client, "form", "kept", 400), _put(client, "form", "left", 500)] == [204, 204]
    assert _put(client, "form", "new", 500) == 413

    clock.now += 61
    assert _put(client, "form", "new", 500) == 204
    assert set(pages.stored) == {("form", "kept"), ("form", "new")}


def test_all_together_have_a_limit_too(workbench: Workbench, client: TestClient, pages: Pages) -> None:
    """Two people within their own limits: who comes last is told that it is the server."""
    add_user(workbench, "luis")
    known = workbench.identity.sessions.log_in("luis", PASSWORD)
    other = TestClient(client.app, base_url=SITE, headers={"origin": SITE})
    other.cookies.set("cg_session", known.token.reveal())
    pages.owners["luis"] = known.actor.session_hash
    pages.with_uploader.add("luis")
    pages.shown = {"a", "b"}

    assert [_put(client, "form", "a", 900), _put(other, "luis", "b", 900)] == [204, 503]
    assert _put(other, "luis", "b", 500) == 204


def test_a_body_of_unknown_length_is_not_read(client: TestClient, pages: Pages) -> None:
    """Chunks without an announced size, or a size that is none."""
    chunks = client.put("/_stcore/upload_file/form/a", content=iter([b"x", b"y"]))
    odd = client.put("/_stcore/upload_file/form/a", content=b"x", headers={"content-length": "-1"})

    assert (chunks.status_code, odd.status_code) == (411, 411)
    assert pages.stored == {}


def test_what_a_closed_tab_has_left_goes_without_another_upload(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server looks by itself, from its start to its end."""
    looked = anyio.Event()

    class Tabs(Pages):
        def list_uploads(self) -> dict[tuple[str, str], int]:
            looked.set()
            return {}

    async def live() -> bool:
        assembly = Assembly(
            lambda: workbench,
            AllowedOrigins(),
            find_address=lambda: SITE,
            read_facts=lambda: ServerFacts("127.0.0.1"),
            tabs=Tabs(),
        )
        async with assembly.lifespan(None):
            with anyio.move_on_after(30):
                await looked.wait()
        return looked.is_set()

    monkeypatch.setattr("cgcore.web.assembly._SWEEP_S", 0)

    assert anyio.run(live)
