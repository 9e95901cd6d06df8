"""``check``: whether database, secrets, folders and settings are as they must be. Looks, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from cgcore.texts import sentence

if TYPE_CHECKING:
    from pathlib import Path

    from cgcore.settings import Settings
    from cgcore.vault import VaultPlace

__all__ = ["CheckResult", "app", "run_checks"]

_PACKAGE = "cgcore.cli"
# With less than this the next saves fail.
_WANTED_BYTES = 1024 * 1024
# A message that nobody has taken up for so long past its time: no process sends.
_LATE_S = 900.0

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One part, whether it is as it must be, and what there is to say of it."""

    name: str
    ok: bool
    detail: str


@app.callback()
def _group() -> None:
    """Keep «check» a command of its own: typer would otherwise take its name for an argument."""


@app.command("check")
def check_command(
    as_json: Annotated[bool, typer.Option("--json", help='One JSON list of {"name", "ok", "detail"}.')] = False,
) -> None:
    """Say whether everything is as it must be; exit code 1 when something is not."""
    results = run_checks()
    if as_json:
        print(json.dumps([asdict(result) for result in results], ensure_ascii=False))
    else:
        for result in results:
            print(f"{'✓' if result.ok else '✗'} {sentence(_PACKAGE, 'label_' + result.name)}: {result.detail}")
    raise typer.Exit(0 if all(result.ok for result in results) else 1)


def run_checks() -> list[CheckResult]:
    """Return the result of each check; with settings that cannot be read, that is the only one."""
    from cgcore.errors import InvalidSettings
    from cgcore.settings import describe_problems, load_settings

    try:
        settings = load_settings()
    except InvalidSettings as error:
        return [CheckResult("settings", False, " ".join(describe_problems(error)))]
    database = _try("database", _check_database, settings)
    checks: dict[str, Callable[[Settings], CheckResult]] = {
        # A server that does not answer costs its patience once: the records lie in it.
        "vault": _check_vault if database.ok or _is_file(settings) else _tell_no_vault,
        "data_dir": _check_data_dir,
        "master_key": _check_master_key,
        "sandbox": _check_sandbox,
        "outbox": _check_outbox if database.ok else _tell_no_outbox,
        "settings": _check_settings,
    }
    return [database, *(_try(name, check, settings) for name, check in checks.items())]


def _try(name: str, check: Callable[[Settings], CheckResult], settings: Settings) -> CheckResult:
    from cgcore.errors import StorageError

    try:
        return check(settings)
    except StorageError as error:
        # The vault may live in the database too; what is left is looked at all the same.
        return CheckResult(name, False, sentence("cgcore.storage", error.code))


def _check_database(settings: Settings) -> CheckResult:
    from sqlalchemy.exc import SQLAlchemyError

    from cgcore.errors import StorageError
    from cgcore.storage.database import Database, find_opening_failure
    from cgcore.storage.revision import HEAD_REVISION, find_damage, sqlite_path
    from cgcore.workbench.context import has_vault_records
    from cgcore.workbench.start import misses_users

    database = None
    try:
        database = Database(settings.resolved_database_url())
        kind = "SQLite" if database.is_sqlite else "PostgreSQL"
        file = sqlite_path(settings.resolved_database_url())
        is_there = file is None or (file.exists() and file.stat().st_size > 0)
        if file is not None and is_there and find_damage(file, thorough=True):
            raise StorageError("the file is damaged", code="storage_damaged")
        revision = database.stored_revision() if is_there else ""
        database.close()
        if (not revision and has_vault_records(settings)) or misses_users(settings):
            raise StorageError("an earlier database is missing", code="storage_lost")
        if not is_there:
            return _result("database", True, "database_new", place=file)
    except StorageError as error:
        return CheckResult("database", False, sentence("cgcore.storage", error.code))
    except SQLAlchemyError as error:
        code = find_opening_failure(database, error).code if database else "storage_open"
        return CheckResult("database", False, sentence("cgcore.storage", code))
    except OSError:
        return CheckResult("database", False, sentence("cgcore.storage", "storage_open"))
    if revision > HEAD_REVISION:
        return _result("database", False, "database_newer", revision=revision)
    code = "database_ready" if revision == HEAD_REVISION else "database_older" if revision else "database_new"
    told = _result("database", True, code, kind=kind, revision=revision, head=HEAD_REVISION, place=kind)
    if file is not None and _has_wal_reset_bug(sqlite3.sqlite_version_info):
        more = sentence(_PACKAGE, "sqlite_wal_reset", version=sqlite3.sqlite_version)
        return CheckResult("database", True, f"{told.detail} {more}")
    return told


def _has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether two connections that write in the same instant can damage a file in WAL mode: SQLite 3.7.0 to 3.51.2.

    Corrected in 3.51.3 (March 2026) and, for their series, in 3.50.7 and 3.44.6 (sqlite.org, «WAL-reset bug»).
    """
    return (3, 7, 0) <= version < (3, 51, 3) and not (
        (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )


def _check_vault(settings: Settings) -> CheckResult:
    from cgcore.workbench.secrets import inspect_place

    return _tell_vault(inspect_place(settings), settings)


def _tell_no_vault(settings: Settings) -> CheckResult:
    from cgcore.vault import PlaceKind, VaultPlace

    return _tell_vault(VaultPlace(PlaceKind.BLOCKED, reason="records_unreachable"), settings)


def _tell_vault(place: VaultPlace, settings: Settings) -> CheckResult:
    from cgcore.vault.texts import place_text

    return CheckResult("vault", place.is_working, str(place_text(place, settings)))


def _is_file(settings: Settings) -> bool:
    from cgcore.storage.revision import sqlite_path

    return sqlite_path(settings.resolved_database_url()) is not None


def _check_data_dir(settings: Settings) -> CheckResult:
    path = settings.data_dir
    if obstacle := _find_obstacle(path):
        return _result("data_dir", False, obstacle, path=path)
    if not path.exists():
        return _result("data_dir", True, "data_dir_new", path=path)
    mode = stat.S_IMODE(path.stat().st_mode) if os.name == "posix" else 0o700
    if mode & 0o022:
        return _result("data_dir", False, "data_dir_writable_by_others", path=path)
    if mode & 0o055:
        return _result("data_dir", not settings.production, "data_dir_readable_by_others", path=path)
    return _result("data_dir", True, "data_dir_ready", path=path)


def _find_obstacle(folder: Path) -> str:
    """Return the code of what keeps a file from being made in ``folder``, which may be one that is still to be made."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return "data_dir_unwritable"
    return "data_dir_full" if shutil.disk_usage(existing).free < _WANTED_BYTES else ""


def _check_master_key(settings: Settings) -> CheckResult:
    from cgcore.errors import VaultError
    from cgcore.vault.master_key import find_key_path
    from cgcore.vault.texts import problem_text
    from cgcore.workbench.secrets import inspect_key

    path = find_key_path(settings)
    place = path or "CG_MASTER_KEY"
    try:
        exists = inspect_key(settings)
    except VaultError as error:
        return CheckResult("master_key", False, f"{problem_text(error.code)} ({place})")
    if path is not None and path.resolve().is_relative_to(settings.data_dir.resolve()):
        return _result("master_key", not settings.production, "master_key_inside", place=place)
    if path is not None and not exists and (obstacle := _find_obstacle(path.parent)):
        return _result("master_key", False, obstacle, path=path.parent)
    return _result("master_key", True, "master_key_ready" if exists else "master_key_new", place=place)


def _check_sandbox(settings: Settings) -> CheckResult:
    from cgcore.sandbox.state import load_state

    if not settings.sandbox_on:
        return _result("sandbox", True, "sandbox_off")
    missing = [name for name in ("aiosmtpd", "pymap") if find_spec(name) is None]
    if missing:
        return _result("sandbox", False, "sandbox_missing", reason=missing)
    # Not started: the running product may have the ports, and would lose them to this process.
    ports = load_state(settings.data_dir / "sandbox").ports
    return _result("sandbox", True, "sandbox_used" if ports else "sandbox_on", **(asdict(ports) if ports else {}))


def _check_outbox(settings: Settings) -> CheckResult:
    from contextlib import closing

    from cgcore.clock import utc_now
    from cgcore.outbox.states import State
    from cgcore.storage.database import Database
    from cgcore.storage.revision import HEAD_REVISION
    from cgcore.storage.totals import count_totals

    if _is_file(settings) and not _has_database(settings):
        return _result("outbox", True, "outbox_empty")
    with closing(Database(settings.resolved_database_url())) as database:
        if database.stored_revision() != HEAD_REVISION:
            return _result("outbox", True, "outbox_empty")
        with database.read() as session:
            totals = count_totals(session, utc_now())
    waiting, held = totals.messages[State.QUEUED], totals.messages[State.HELD]
    code = "outbox_late" if totals.overdue_s > _LATE_S else "outbox_ready"
    return _result("outbox", code == "outbox_ready", code, waiting=waiting, held=held)


def _tell_no_outbox(_settings: Settings) -> CheckResult:
    return _result("outbox", False, "outbox_unknown")


def _has_database(settings: Settings) -> bool:
    from cgcore.storage.revision import sqlite_path

    path = sqlite_path(settings.resolved_database_url())
    return path is not None and path.is_file() and path.stat().st_size > 0


def _check_settings(settings: Settings) -> CheckResult:
    from cgcore.mail.network.tls import verifying_context
    from cgcore.settings import find_unsafe

    try:
        verifying_context(settings.ssl_cert_file)
    except OSError:  # no such file, or nothing in it that could be trusted
        return _result("settings", False, "ca_file_unreadable", path=settings.ssl_cert_file)
    if unsafe := find_unsafe(settings):
        return CheckResult("settings", False, " ".join(sentence("cgcore", f"settings.{code}") for code in unsafe))
    production = sentence(_PACKAGE, "yes" if settings.production else "no")
    public_url = settings.public_url or sentence(_PACKAGE, "none")
    return _result("settings", True, "settings_ready", production=production, public_url=public_url)


def _result(name: str, ok: bool, code: str, **values: object) -> CheckResult:
    return CheckResult(name, ok, sentence(_PACKAGE, code, **values))
