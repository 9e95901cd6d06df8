"""The data folder: a database that is lost or damaged, a second server, a disk that takes nothing."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text

from cgcore.company.company import CompanyDraft
from cgcore.errors import StorageError
from cgcore.identity.actor import Role
from cgcore.settings import Settings
from cgcore.storage.database import Database, open_database
from cgcore.storage.revision import try_headroom
from cgcore.texts import sentence
from cgcore.vault import Secret
from cgcore.web.api.handlers import problem_of
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.start import WriteWatch, require_past, set_aside_vault, sole_server
from tests.conftest import make_settings
from tests.servers.api_server import serve_api
from tests.servers.api_users import add_person, issue_key
from tests.servers.house import add_user, furnish
from tests.servers.identity import HandClock, set_clock
from tests.servers.leftout import leave_out
from tests.servers.pages import PASSWORD as PAGE_PASSWORD
from tests.servers.pages import open_page, save, sign_in, words
from tests.servers.product import PASSWORD, ROOT, product_environment, run_product

pytestmark = pytest.mark.usefixtures("by_migrations")

LOST = sentence("cgcore.storage", "storage_lost")
DAMAGED = sentence("cgcore.storage", "storage_damaged")
TAKEN = sentence("cgcore.storage", "storage_taken")
FULL = sentence("cgcore.storage", "storage_full")


@pytest.fixture
def house(tmp_path: Path) -> Settings:
    """The settings of an installation with two people, one of whom has kept a mail password."""
    furnished = furnish(tmp_path)
    with furnished.workbench() as workbench:
        workbench.vault.set(f"mail/{furnished.user.user_id}", Secret("S3cr3t-ñ"))
    return make_settings(tmp_path)


def database_file(settings: Settings) -> Path:
    """Return where the database lies."""
    return settings.data_dir / "cloud-gestion.db"


def command(settings: Settings, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command over the folder."""
    return subprocess.run(
        [sys.executable, "-m", "cgcore", *arguments],
        cwd=ROOT, env=product_environment(settings.data_dir.parent), input=given, capture_output=True, text=True,
    )  # fmt: skip


def refused_start(settings: Settings) -> str:
    """Start the product, wait for its end, and return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", "0"],
        cwd=ROOT, env=product_environment(settings.data_dir.parent), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    return done.stdout + done.stderr


def health(url: str) -> tuple[int, dict[str, str]]:
    """Ask ``/salud``."""
    try:
        with urllib.request.urlopen(f"{url}/salud", timeout=30) as answer:  # noqa: S310  loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as sick:
        return sick.code, json.load(sick)


def wait_for_health(url: str, status: int) -> tuple[int, dict[str, str]]:
    """Ask until the answer is that one: what was found holds for a second."""
    pause = threading.Event()
    while (answer := health(url))[0] != status:
        pause.wait(0.1)
    return answer


# ---- A database that is lost


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _another(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()


@pytest.mark.parametrize("lose", [_missing, _empty, _another])
def test_a_vault_without_its_database_is_no_new_installation(house: Settings, lose: Callable[[Path], None]) -> None:
    """Every way in is refused with the reason and the way out, and nothing is made in the place of what is lost."""
    path = database_file(house)
    lose(path)

    with pytest.raises(StorageError) as caught:
        open_workbench(house)
    with pytest.raises(StorageError) as lazily:
        _ = Workbench(house).database

    assert (caught.value.code, lazily.value.code) == ("storage_lost", "storage_lost")
    assert "vault set-aside" in LOST
    if lose is _missing:
        assert not path.exists()
    else:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_lost_database_is_told_at_start_by_check_and_by_commands(house: Settings) -> None:
    """One sentence each, exit codes that are not 0, no traceback; set aside on purpose it starts anew."""
    database_file(house).unlink()
    told = refused_start(house)
    assert LOST in told
    assert "Traceback" not in told
    for arguments in (("export",), ("user", "disable", "luis")):
        done = command(house, *arguments)
        assert (done.returncode, done.stdout, done.stderr.strip()) == (1, "", LOST)
    checked = command(house, "check", "--json")
    found = {part["name"]: part for part in json.loads(checked.stdout)}
    assert (checked.returncode, found["database"]["ok"], found["database"]["detail"]) == (1, False, LOST)
    assert not database_file(house).exists()

    aside = command(house, "vault", "set-aside")
    again = command(house, "vault", "set-aside")

    assert (aside.returncode, again.returncode) == (0, 0)
    assert len(list(house.data_dir.glob("vault-*/*.rec"))) == 3
    open_workbench(house).close()
    assert database_file(house).exists()


def test_a_database_without_users_beside_their_secrets_is_another_one(house: Settings) -> None:
    """It stands at the right revision and is empty: the server does not open «primer uso» to whoever comes."""
    path = database_file(house)
    path.unlink()
    open_database(house.resolved_database_url()).close()
    workbench = open_workbench(house)

    with pytest.raises(StorageError) as caught:
        require_past(workbench.context, workbench.identity.accounts.first_use_needed)
    workbench.close()

    assert caught.value.code == "storage_lost"
    assert LOST in refused_start(house)
    checked = command(house, "check")
    assert (checked.returncode, LOST in checked.stdout) == (1, True)


def test_before_the_first_user_a_start_may_be_repeated(settings: Settings) -> None:
    """A vault that has only its own marks belongs to nobody yet; a house with users is left alone too."""
    for _ in range(2):
        workbench = open_workbench(settings)
        require_past(workbench.context, workbench.identity.accounts.first_use_needed)
        workbench.vault.derive_key("gate")
        workbench.close()
    assert (settings.data_dir / "vault").exists()


def test_records_of_postgresql_without_users_are_told_too(settings: Settings, postgres_server: object) -> None:
    """The table of users was emptied, that of records was not; set aside, the start is one without a past."""
    url = postgres_server.create_migrated_database("t_" + os.urandom(6).hex())  # type: ignore[attr-defined]
    settings = settings.model_copy(update={"database_url": url})
    workbench = open_workbench(settings)
    ana = add_user(workbench, "ana")
    workbench.vault.set(f"mail/{ana.user_id}", Secret("S3cr3t"))
    require_past(workbench.context, workbench.identity.accounts.first_use_needed)
    with pytest.raises(StorageError) as in_use:
        set_aside_vault(settings)
    with workbench.database.session() as session:
        session.connection().execute(text('DELETE FROM "user"'))

    with pytest.raises(StorageError) as caught:
        require_past(workbench.context, workbench.identity.accounts.first_use_needed)
    place = set_aside_vault(settings)
    require_past(workbench.context, workbench.identity.accounts.first_use_needed)
    workbench.close()

    assert (caught.value.code, in_use.value.code) == ("storage_lost", "storage_has_users")
    assert place.startswith("vault_record (aside-")
    assert set_aside_vault(settings) == ""


def test_the_vault_of_people_who_are_there_is_not_set_aside(house: Settings) -> None:
    """The command takes nothing away from a house that works."""
    done = command(house, "vault", "set-aside")

    assert done.returncode == 1
    assert done.stderr.strip() == sentence("cgcore.storage", "storage_has_users")
    assert (house.data_dir / "vault").exists()


# ---- Damage


def _header(data: bytes) -> bytes:
    return b"x" * 100 + data[100:]


def _middle(data: bytes) -> bytes:
    page = len(data) // 8192 * 4096
    return data[:page] + b"\xa5" * 8192 + data[page + 8192 :]


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2 // 4096 * 4096]


def _cut_in_a_page(data: bytes) -> bytes:
    return data[: len(data) // 3 + 17]


DAMAGES = [_header, _middle, _cut, _cut_in_a_page]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_told_before_it_is_used(house: Settings, damage: Callable[[bytes], bytes]) -> None:
    """Overwritten head, overwritten middle, cut file: one code, and the file stays as it is for whoever mends it."""
    path = database_file(house)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()

    with pytest.raises(StorageError) as caught:
        open_workbench(house)

    assert caught.value.code == "storage_damaged"
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [_header, _middle])
def test_damage_is_a_sentence_at_start_in_check_and_on_the_command_line(
    house: Settings, damage: Callable[[bytes], bytes]
) -> None:
    """No traceback anywhere, and no start."""
    path = database_file(house)
    path.write_bytes(damage(path.read_bytes()))

    told = refused_start(house)
    exported, checked = command(house, "export"), command(house, "check", "--json")
    added = command(house, "user", "add", "eva", "--role", "user", "--password-stdin", given=f"{PASSWORD}\n")

    assert DAMAGED in told
    assert (exported.returncode, exported.stderr.strip()) == (1, DAMAGED)
    assert (added.returncode, added.stderr.strip()) == (1, DAMAGED)
    found = {part["name"]: part for part in json.loads(checked.stdout)}
    assert (checked.returncode, checked.stderr, found["database"]["detail"]) == (1, "", DAMAGED)
    assert "Traceback" not in told


def test_damage_that_comes_while_the_product_runs_is_told_at_the_first_use(house: Settings) -> None:
    """Reading says so by code: what pages, log-in and API make their sentence of; so does health."""
    workbench = open_workbench(house)
    path = database_file(house)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))

    with pytest.raises(StorageError) as caught:
        workbench.identity.accounts.first_use_needed()

    assert caught.value.code == "storage_damaged"
    assert workbench.find_database_trouble() in ("storage_damaged", "storage_away")


# ---- A second server


def test_of_two_servers_on_one_folder_the_second_does_not_start(house: Settings) -> None:
    """It says why; the first goes on, commands work beside it, and after its sudden end a start succeeds at once."""
    folder = house.data_dir.parent
    environment = product_environment(folder)
    with run_product(folder, environment=environment) as first:
        told = refused_start(house)
        moved, exported = command(house, "vault", "move", "encrypted"), command(house, "export")
        disabled, checked = command(house, "user", "disable", "luis"), command(house, "check")
        assert health(first.url)[0] == 200
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(30)
        with run_product(folder, environment=environment) as second:
            assert health(second.url)[0] == 200

    assert TAKEN in told
    assert "Traceback" not in told
    assert (exported.returncode, disabled.returncode, checked.returncode) == (0, 0, 0)
    assert (moved.returncode, moved.stderr.strip()) == (1, TAKEN)


def test_the_lock_is_the_systems_and_of_the_folder(settings: Settings, tmp_path: Path) -> None:
    """A file left behind locks nobody out; another folder is another lock; PostgreSQL has none."""
    settings.data_dir.mkdir(parents=True)
    (settings.data_dir / "server.lock").write_text("4711")
    with sole_server(settings), sole_server(make_settings(tmp_path / "other")):
        with pytest.raises(StorageError) as taken, sole_server(settings):
            pass
        elsewhere = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'elsewhere.db'}"})
        with pytest.raises(StorageError), sole_server(elsewhere):
            pass
        with sole_server(settings.model_copy(update={"database_url": "postgresql+psycopg://u@h/d"})):
            pass
    assert taken.value.code == "storage_taken"
    with sole_server(settings):
        pass


# ---- A disk that takes nothing


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True)
    if done.returncode:
        leave_out("the right to mount a file system (it takes root)")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def filled(place: Path) -> Iterator[None]:
    """Leave no byte on the file system of ``place`` for the block."""
    filler = place / "filler"
    descriptor = os.open(filler, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        os.close(descriptor)
    yield
    filler.unlink()


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Let the file system of ``place`` be read-only for the block: what is open for writing now stays so."""
    subprocess.run(["mount", "--bind", place, place], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
    yield
    subprocess.run(["umount", "-l", place], check=True)


def open_on(place: Path, clock: HandClock) -> Workbench:
    """Open an installation on ``place``, with its key elsewhere."""
    settings = make_settings(place).model_copy(update={"config_dir": place.parent / "config"})
    return open_workbench(settings, clock=clock)


def test_on_a_full_disk_reading_goes_on_and_a_save_says_why(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-in and pages are read, Guardar tells the reason and keeps what was typed, health is 503; then all is well."""
    clock = HandClock()
    workbench = open_on(small_disk, clock)
    ana = sign_in(workbench, "ana", Role.ADMIN)
    page = open_page(monkeypatch, workbench, ana, "administration.py")
    page.text_input(key="administration_company_name").set_value("Tosma, SL " * 10).run()
    with filled(small_disk):
        clock.move(minutes=2)
        seen = workbench.identity.sessions.find_actor(ana.session_hash)
        exported = json.loads(workbench.portable.export_all(ana))
        refused = save(page)
        told, kept, exceptions = (
            words(refused),
            refused.text_input(key="administration_company_name").value,
            list(refused.exception),
        )
        toasts = [toast.value for toast in refused.toast]
        trouble = workbench.find_database_trouble()
        with pytest.raises(StorageError) as caught:
            workbench.company.save(ana, CompanyDraft("x" * 100, "", "y" * 200), 0)
        workbench.close()
        workbench = open_on(small_disk, clock)
        assert workbench.find_database_trouble() == "storage_full"
        assert workbench.identity.sessions.find_actor(ana.session_hash) == seen
        workbench.close()
    workbench = open_on(small_disk, clock)

    assert seen is not None
    assert exported["format"] == "cloud-gestion"
    assert FULL in told
    assert (kept, exceptions, toasts) == ("Tosma, SL " * 10, [], [])
    assert (trouble, caught.value.code) == ("storage_full", "storage_full")
    assert problem_of(caught.value).code.status == 507
    assert workbench.find_database_trouble() == ""
    assert workbench.company.get(ana).name == ""
    workbench.company.save(ana, CompanyDraft("Tosma, SL", "", ""), 0)
    workbench.close()


def test_a_product_on_a_full_disk_is_seen_from_outside(small_disk: Path) -> None:
    """``/salud`` is 503 and names it, log-in is a page with the sentence, check says it; with room it is well again."""
    environment = {**product_environment(small_disk), "CG_CONFIG_DIR": str(small_disk.parent / "config")}
    with run_product(small_disk, environment=environment) as product:
        form = b"username=ana&password=correcto+caballo&next=%2F"
        login = urllib.request.Request(f"{product.url}/entrar", form, {"Origin": product.url})  # noqa: S310  loopback
        with filled(small_disk):
            answer = wait_for_health(product.url, 503)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(login, timeout=30)  # noqa: S310  loopback
            checked = subprocess.run(
                [sys.executable, "-m", "cgcore", "check", "--json"],
                cwd=ROOT, env=environment, capture_output=True, text=True,
            )  # fmt: skip
        wait_for_health(product.url, 200)
        with urllib.request.urlopen(login, timeout=30) as entered:  # noqa: S310  loopback
            assert entered.status == 200

    assert (answer[0], answer[1]["status"], answer[1]["database"]) == (503, "error", "full")
    assert refused.value.code == 503
    assert FULL in refused.value.read().decode()
    found = {part["name"]: part for part in json.loads(checked.stdout)}
    assert (checked.returncode, found["data_dir"]["ok"]) == (1, False)


def test_on_a_read_only_folder_reading_goes_on(small_disk: Path) -> None:
    """Mounted read-only under a running product: who is in goes on reading; a new start says the reason."""
    clock = HandClock()
    workbench = open_on(small_disk, clock)
    ana = sign_in(workbench, "ana", Role.ADMIN)
    settings = workbench.settings
    with read_only(small_disk):
        clock.move(minutes=2)
        assert workbench.identity.sessions.find_actor(ana.session_hash) is not None
        assert try_headroom(settings.data_dir) == "storage_readonly"
        assert workbench.find_database_trouble() == "storage_readonly"
        with pytest.raises(StorageError) as refused:
            open_workbench(settings, clock=clock).company.save(ana, CompanyDraft("Tosma, SL", "", ""), 0)
        with pytest.raises(StorageError) as fresh:
            open_database(f"sqlite:///{small_disk / 'new' / 'cloud-gestion.db'}")
    workbench.close()

    assert refused.value.code in ("storage_readonly", "storage_away")
    assert fresh.value.code == "storage_readonly"


def _deny_sqlite(database: Database) -> Callable[[], None]:
    def deny(connection: object, *_: object) -> None:
        connection.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]

    event.listen(database.engine, "checkout", deny)

    def allow() -> None:
        event.remove(database.engine, "checkout", deny)
        database.engine.dispose()

    return allow


def _deny_postgres(database: Database) -> Callable[[], None]:
    name = database.url.database

    def order(value: str) -> None:
        with database.engine.connect() as connection:
            connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"))
            connection.commit()
            connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}'))
            connection.commit()
        database.engine.dispose()

    order("on")
    return lambda: order("off")


def test_a_database_that_only_reads_keeps_nobody_from_reading(workbench_on_each: Workbench) -> None:
    """Log-in, key and trail are read without their notes; a change is refused by code, and health is told."""
    workbench, clock = workbench_on_each, HandClock()
    set_clock(workbench, clock)
    ana = sign_in(workbench, "ana", Role.ADMIN)
    workbench.vault.derive_key("gate")
    deny = _deny_sqlite if workbench.database.is_sqlite else _deny_postgres
    allow = deny(workbench.database)
    clock.move(minutes=2)
    seen = workbench.identity.sessions.find_actor(ana.session_hash)
    exported = workbench.portable.export_user(ana, "ana")
    later = Workbench(workbench.settings, workbench.database, clock=clock)
    pages_open = later.identity.sessions.sign_identity(ana.session_hash)
    clock.move(minutes=60)
    idle = workbench.identity.sessions.find_actor(ana.session_hash)
    trouble = workbench.find_database_trouble()
    with pytest.raises(StorageError) as change:
        workbench.company.save(ana, CompanyDraft("Tosma, SL", "", ""), 0)
    with pytest.raises(StorageError) as entering:
        workbench.identity.sessions.log_in("ana", PAGE_PASSWORD)
    allow()

    assert seen is not None
    assert pages_open
    assert '"ana"' in exported
    assert idle is None
    assert (trouble, change.value.code, entering.value.code) == ("storage_readonly",) * 3
    answer = problem_of(change.value).to_response()
    assert (answer.status_code, b'"code": "store_read_only"' in bytes(answer.body)) == (503, True)
    assert WriteWatch(workbench.context).find_trouble() == ""


def test_the_api_reads_on_a_database_that_only_reads(workbench_on_each: Workbench) -> None:
    """A key that was never used reads; a change is a problem document with its code, and is stored once it can be."""
    workbench = workbench_on_each
    key = issue_key(workbench, add_person(workbench, "ana")).key.reveal()
    account = {"user": "ana@tosma.example", "smtp": {"host": "smtp.tosma.example"}}
    with serve_api(workbench) as api, api.client(key) as client:
        deny = _deny_sqlite if workbench.database.is_sqlite else _deny_postgres
        allow = deny(workbench.database)
        read = [client.get("/mail-account") for _ in range(2)]
        refused = client.patch("/mail-account", json=account, headers={"If-Match": read[0].headers["etag"]})
        allow()
        stored = client.patch("/mail-account", json=account, headers={"If-Match": read[0].headers["etag"]})

    assert [answer.status_code for answer in read] == [200, 200]
    assert (refused.status_code, refused.json()["code"]) == (503, "store_read_only")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (stored.status_code, stored.json()["version"]) == (200, 1)


def test_health_writes_no_more_often_than_once_a_second(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a hundred times makes one try; a second later the next one is made."""
    tries: list[int] = []
    monkeypatch.setattr(workbench.database, "try_writing", lambda: tries.append(1) or "")
    seconds = [100.0]
    watch = WriteWatch(workbench.context, clock=lambda: seconds[0])
    for _ in range(100):
        assert watch.find_trouble() == ""
    first = len(tries)
    seconds[0] += 1.5
    watch.find_trouble()

    assert (first, len(tries)) == (1, 2)


def test_a_save_limited_in_size_is_told_as_a_full_disk(tmp_path: Path) -> None:
    """A quota on the size of files (``RLIMIT_FSIZE``) stops the room that a save needs, and the process lives."""
    script = (
        "import resource, sys; from pathlib import Path; from cgcore.storage.revision import try_headroom;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000)); print(try_headroom(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == ("storage_full", "")
    assert list(tmp_path.iterdir()) == []


def test_notes_that_cannot_be_stored_are_logged_once_a_minute(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A crowd of readers does not write a crowd of lines, and no line holds more than what and why."""

    def fail(*_: object) -> None:
        raise StorageError("S3cr3t", code="storage_full")

    stored = [database.note("last use of a log-in", fail) for _ in range(20)]

    assert stored == [False] * 20
    assert [record.getMessage() for record in caplog.records] == ["not noted: last use of a log-in (storage_full)"]
    assert database.note("last use of a log-in", lambda session: session.connection())


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_taken_away_under_the_product_is_told_by_health(settings: Settings, replaced: bool) -> None:
    """Removed, or replaced by a restored copy: what is open would go on taking changes that nobody finds again."""
    workbench = open_workbench(settings)
    add_user(workbench, "ana")
    seconds = [100.0]
    watch = WriteWatch(workbench.context, clock=lambda: seconds[0])
    assert watch.find_trouble() == ""
    path, copy = database_file(settings), settings.data_dir / "copy"
    copy.write_bytes(path.read_bytes())
    path.unlink()
    if replaced:
        copy.rename(path)
    seconds[0] += 2

    assert watch.find_trouble() == "storage_away"
    workbench.close()


def test_a_try_of_the_disk_leaves_no_file(settings: Settings) -> None:
    """After a try of the disk nothing of it is left in the folder."""
    workbench = open_workbench(settings)
    add_user(workbench, "ana")
    assert workbench.find_database_trouble() == ""
    names = {path.name for path in settings.data_dir.iterdir()}
    workbench.close()

    assert not [name for name in names if name.startswith(".room")]
