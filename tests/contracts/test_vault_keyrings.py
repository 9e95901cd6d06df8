"""The vault over keyrings that are absent, refused, hostile or silent: what is not kept is never called kept."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null

from cgcore.errors import VaultError
from cgcore.settings import Settings
from cgcore.vault import PlaceKind, Secret, Vault, VaultLimits
from cgcore.vault.guard import GuardLimits
from cgcore.vault.memory import MemoryKeyring
from cgcore.vault.records import FolderRecords
from tests.contracts.vault_doubles import (
    Forgetful,
    Indiscreet,
    Lying,
    OutOfReach,
    Raising,
    Silent,
    Truncating,
    TurnsRaising,
)

CANARY = "S3cr3t-ñ"
# Small enough not to wait for, and long for anything that answers at all.
QUICK = VaultLimits(self_test_s=0.5, retry_s=60, calls=GuardLimits(call_s=0.2, misses=2, open_s=60, stuck=4))


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def open_over(settings: Settings, tmp_path: Path, clock: Clock) -> Callable[[KeyringBackend], Vault]:
    """Return a vault that finds the given keyring."""

    def open_over(backend: KeyringBackend) -> Vault:
        records = FolderRecords(tmp_path / "data" / "vault")
        return Vault(settings, records, find_backend=lambda: backend, limits=QUICK, clock=clock)

    return open_over


def test_a_keyring_that_proves_itself_is_used_and_named(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """One short key is in the keyring, the secret is in no entry of it, the self-test leaves nothing behind."""
    backend = MemoryKeyring({})
    vault = open_over(backend)
    vault.set("mail/7", Secret(CANARY))

    assert vault.describe().kind is PlaceKind.OS_KEYRING
    assert vault.describe().name == backend.name
    assert [(service, name.split("/")[0]) for service, name in backend.entries] == [("cloud-gestion", "data-key")]
    assert CANARY not in "".join(backend.entries.values())
    assert vault.get("mail/7") == Secret(CANARY)


@pytest.mark.parametrize(
    "backend", [null.Keyring(), fail.Keyring(), chainer.ChainerBackend()], ids=["null", "fail", "chainer"]
)
def test_a_keyring_of_a_refused_class_is_never_used(
    open_over: Callable[[KeyringBackend], Vault], backend: KeyringBackend
) -> None:
    """The null, the failing and the chaining backend are refused; the encrypted store stands in and says why."""
    vault = open_over(backend)
    vault.set("mail/7", Secret(CANARY))

    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert vault.describe().reason == "keyring_refused"
    assert vault.get("mail/7") == Secret(CANARY)


def test_plain_text_backends_are_refused_by_class(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """A backend of ``keyrings.alt``, or one derived from it, is refused although it would keep the secret."""
    plaintext = type("PlaintextKeyring", (MemoryKeyring,), {"__module__": "keyrings.alt.file"})
    derived = type("Ours", (plaintext,), {})
    backend = derived({})
    vault = open_over(backend)
    vault.set("mail/7", Secret(CANARY))

    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert backend.entries == {}


@pytest.mark.parametrize("hostile", [Forgetful, Truncating, Raising, OutOfReach])
def test_a_keyring_that_fails_its_self_test_is_not_used(
    open_over: Callable[[KeyringBackend], Vault], hostile: type[MemoryKeyring]
) -> None:
    """One that keeps nothing, cuts, or raises is found out before the first secret."""
    vault = open_over(hostile({}))
    vault.set("mail/7", Secret("x" * 1280))

    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert vault.describe().reason == "keyring_unproven"
    assert vault.get("mail/7") == Secret("x" * 1280)


def test_a_keyring_that_starts_lying_is_never_believed(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """A key that reads back differently raises, nothing is kept with it, and the value kept before is readable."""
    backend = Lying({})
    vault = open_over(backend)
    vault.set("mail/7", Secret("before"))
    entries = dict(backend.entries)
    backend.lies = True

    with pytest.raises(VaultError) as caught:
        vault.set("mail/8", Secret(CANARY))

    assert caught.value.code == "secret_not_kept"
    assert backend.entries == entries
    backend.lies = False
    assert vault.get("mail/7") == Secret("before")
    assert vault.get("mail/8") is None


def test_a_keyring_that_starts_raising_quotes_no_secret(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """The backend's own words, which hold what it was given, are in no part of the traceback; nothing is kept."""
    backend = TurnsRaising({})
    vault = open_over(backend)
    vault.describe()
    backend.broken = True

    with pytest.raises(VaultError) as caught:
        vault.set("mail/7", Secret(CANARY))

    assert caught.value.code == "keyring_failed"
    told = "".join(traceback.format_exception(caught.value))
    assert not any(word in told for word in (CANARY, "CredWrite"))
    assert (backend.entries, vault.get("mail/7")) == ({}, None)


def test_a_keyring_that_quotes_the_secret_is_not_quoted(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """Reading raises our error alone: neither its text nor what led to it holds the value."""
    backend = Indiscreet({})
    vault = open_over(backend)
    vault.set("mail/7", Secret(CANARY))
    backend.broken = True

    with pytest.raises(VaultError) as caught:
        vault.get("mail/7")

    assert caught.value.code == "keyring_failed"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_silent_keyring_opens_the_breaker_and_recovers(
    open_over: Callable[[KeyringBackend], Vault], clock: Clock
) -> None:
    """Two misses open it, the next call is refused without being made, one trial after a minute closes it."""
    backend = Silent({})
    vault = open_over(backend)
    vault.set("mail/7", Secret(CANARY))
    backend.silent = True
    codes = []
    for _ in range(2):
        with pytest.raises(VaultError) as caught:
            vault.get("mail/7")
        codes.append(caught.value.code)
    calls = backend.calls
    with pytest.raises(VaultError) as refused:
        vault.get("mail/7")

    assert codes == ["keyring_timeout", "keyring_timeout"]
    assert refused.value.code == "keyring_suspended"
    assert backend.calls == calls
    assert vault.describe().kind is PlaceKind.BLOCKED
    assert vault.describe().reason == "keyring_suspended"

    backend.silent = False
    backend.release.set()
    clock.now += 61

    assert vault.get("mail/7") == Secret(CANARY)
    assert vault.describe().kind is PlaceKind.OS_KEYRING


def test_a_failed_trial_opens_the_breaker_again(open_over: Callable[[KeyringBackend], Vault], clock: Clock) -> None:
    """After a minute a single call goes through; when it misses too, the next one is refused at once."""
    backend = Silent({})
    vault = open_over(backend)
    vault.describe()
    backend.silent = True
    for _ in range(2):
        with pytest.raises(VaultError):
            vault.get("mail/7")
    clock.now += 61
    with pytest.raises(VaultError) as trial:
        vault.get("mail/7")
    with pytest.raises(VaultError) as after:
        vault.get("mail/7")
    backend.release.set()

    assert (trial.value.code, after.value.code) == ("keyring_timeout", "keyring_suspended")


def test_a_keyring_silent_at_the_start_gives_way_to_the_encrypted_store(
    open_over: Callable[[KeyringBackend], Vault],
) -> None:
    """The self-test has a deadline; the place says that the keyring did not answer."""
    backend = Silent({})
    backend.silent = True
    vault = open_over(backend)
    vault.set("mail/7", Secret(CANARY))
    backend.release.set()

    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert vault.describe().reason == "keyring_timeout"


def test_a_thousand_reads_leave_no_thread(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """Each guarded call ends its thread: after many reads there are as many as before."""
    vault = open_over(MemoryKeyring({}))
    vault.set("mail/7", Secret(CANARY))
    before = threading.active_count()
    for _ in range(1000):
        vault.get("mail/7")
    for thread in [thread for thread in threading.enumerate() if thread.name == "keyring-call"]:
        thread.join(5)

    assert threading.active_count() <= before


def test_threads_that_hang_are_capped(open_over: Callable[[KeyringBackend], Vault], clock: Clock) -> None:
    """However often it is tried, no more threads hang in a silent keyring than the limit; they end when it wakes."""
    backend = Silent({})
    vault = open_over(backend)
    vault.describe()
    backend.silent = True
    before = set(threading.enumerate())
    for _ in range(8):
        clock.now += 61
        with pytest.raises(VaultError):
            vault.get("mail/7")
    hanging = set(threading.enumerate()) - before
    backend.release.set()
    for thread in hanging:
        thread.join(5)

    assert len(hanging) == QUICK.calls.stuck
    assert not any(thread.is_alive() for thread in hanging)


def test_secrets_in_a_keyring_that_is_away_do_not_look_gone(
    open_over: Callable[[KeyringBackend], Vault], clock: Clock
) -> None:
    """A second start with the keyring locked is blocked, not moved to another store; unlocked, it is tried again."""
    backend = TurnsRaising({})
    open_over(backend).set("mail/7", Secret(CANARY))
    backend.broken = True
    vault = open_over(backend)

    with pytest.raises(VaultError) as caught:
        vault.get("mail/7")
    with pytest.raises(VaultError):
        vault.set("mail/7", Secret("other"))

    assert caught.value.code == "keyring_away"
    assert vault.describe().kind is PlaceKind.BLOCKED

    backend.broken = False
    clock.now += 61

    assert vault.get("mail/7") == Secret(CANARY)


def test_secrets_stay_in_the_encrypted_store_when_a_keyring_appears(
    open_over: Callable[[KeyringBackend], Vault],
) -> None:
    """Once secrets are kept there, a later start uses the same place until they are moved."""
    open_over(fail.Keyring()).set("mail/7", Secret(CANARY))
    backend = MemoryKeyring({})
    vault = open_over(backend)

    assert vault.get("mail/7") == Secret(CANARY)
    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert backend.entries == {}


def test_moving_takes_every_secret_along(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """Moved secrets are in the new place, gone from the old one, and found by the next start."""
    open_over(fail.Keyring()).set("mail/7", Secret(CANARY))
    backend = MemoryKeyring({})
    vault = open_over(backend)
    moved = vault.move(PlaceKind.OS_KEYRING, ["mail/7", "mail/8"])

    assert moved == ["mail/7"]
    assert [name.split("/")[0] for _, name in backend.entries] == ["data-key"]
    assert open_over(backend).get("mail/7") == Secret(CANARY)
    assert open_over(backend).describe().kind is PlaceKind.OS_KEYRING

    assert vault.move(PlaceKind.ENCRYPTED, ["mail/7"]) == ["mail/7"]
    assert backend.entries == {}
    assert vault.get("mail/7") == Secret(CANARY)


def test_a_move_that_fails_leaves_everything_where_it_was(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """When the new place stops keeping in the middle, the old one still has all and stays in use."""
    first = open_over(fail.Keyring())
    first.set("mail/7", Secret(CANARY))
    backend = LyingAboutMail({})
    vault = open_over(backend)

    with pytest.raises(VaultError):
        vault.move(PlaceKind.OS_KEYRING, ["mail/7"])

    assert vault.get("mail/7") == Secret(CANARY)
    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert backend.entries == {}


class LyingAboutMail(MemoryKeyring):
    """Passes the self-test and alters mail passwords."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Alter what is not the self-test's."""
        super().set_password(service, username, password if username.startswith("self-test") else password + "?")


def test_another_user_reads_while_one_writes(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """A write that hangs holds up neither the reading nor the writing of another name."""
    backend = SlowToReadOne({})
    vault = open_over(backend)
    vault.set("mail/1", Secret("one"))
    failures: list[str] = []

    def write_slowly() -> None:
        try:
            vault.set("mail/2", Secret("two"))
        except VaultError as error:
            failures.append(error.code)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    backend.entered.wait(5)
    vault.set("mail/3", Secret("three"))

    assert vault.get("mail/1") == Secret("one")

    backend.release.set()
    thread.join()

    assert failures in ([], ["keyring_timeout"])


class SlowToReadOne(MemoryKeyring):
    """Holds up the look for an entry ``mail/2`` of an earlier version."""

    def __init__(self, entries: dict[tuple[str, str], str]) -> None:
        super().__init__(entries)
        self.entered = threading.Event()
        self.release = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        """Wait for ``release`` where the name is that one."""
        if username == "mail/2":
            self.entered.set()
            self.release.wait(30)
        return super().get_password(service, username)


class Narrow(MemoryKeyring):
    """Takes what Windows takes: 2560 bytes of UTF-16 an entry, and no second thought about the rest."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Refuse what is longer."""
        if len(password.encode("utf-16-le")) > 2560:
            raise OSError(1783, "CredWrite", "The stub received bad data")
        super().set_password(service, username, password)


LONG = "ey" + "ñ€😀x" * 2048


def test_a_keyring_of_short_entries_keeps_secrets_of_any_length(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """8 KB and more come back letter by letter, after a restart too, and through moves to and fro."""
    backend = Narrow({})
    vault = open_over(backend)
    vault.set("oauth/7", Secret(LONG), bond={"user": "ana"})
    vault.set("mail/7", Secret(CANARY))

    assert vault.describe().kind is PlaceKind.OS_KEYRING
    assert open_over(backend).get("oauth/7", bond={"user": "ana"}) == Secret(LONG)

    names = ["oauth/7", "mail/7"]
    assert vault.move(PlaceKind.ENCRYPTED, names) == names
    assert (backend.entries, vault.get("oauth/7")) == ({}, Secret(LONG))
    assert vault.move(PlaceKind.OS_KEYRING, names) == names
    assert open_over(backend).get("oauth/7", bond={"user": "ana"}) == Secret(LONG)
    assert open_over(backend).get("mail/7") == Secret(CANARY)


def test_what_an_earlier_version_kept_in_the_keyring_is_read(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """The entry itself is the secret until it is written anew; then, or when it is removed, no entry is left."""
    backend = MemoryKeyring({("cloud-gestion", "mail/7"): CANARY, ("cloud-gestion", "mail/8"): "eight"})
    vault = open_over(backend)

    assert vault.get("mail/7") == Secret(CANARY)
    vault.set("mail/7", Secret("new"))
    vault.delete("mail/8")

    assert vault.get("mail/7") == Secret("new")
    assert vault.get("mail/8") is None
    assert not [name for _, name in backend.entries if name.startswith("mail/")]
    vault.delete("mail/7")
    assert vault.get("mail/7") is None


def test_an_entry_of_an_earlier_version_moves_too(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """``vault move`` takes it to the encrypted store, and out of the keyring."""
    backend = MemoryKeyring({("cloud-gestion", "mail/7"): CANARY})
    vault = open_over(backend)

    assert vault.move(PlaceKind.ENCRYPTED, ["mail/7"]) == ["mail/7"]
    assert (backend.entries, vault.get("mail/7")) == ({}, Secret(CANARY))


def test_a_keyring_that_lost_its_key_is_told_and_starts_anew(open_over: Callable[[KeyringBackend], Vault]) -> None:
    """What it sealed is unreadable, never another value; a secret written again has a key that is there."""
    backend = MemoryKeyring({})
    vault = open_over(backend)
    vault.set("mail/7", Secret(CANARY))
    vault.set("mail/8", Secret("eight"))
    lost = dict(backend.entries)
    backend.entries.clear()

    with pytest.raises(VaultError) as caught:
        vault.get("mail/7")
    vault.set("mail/7", Secret("typed again"))

    assert caught.value.code == "record_unreadable"
    assert vault.get("mail/7") == Secret("typed again")
    backend.entries.update(lost)
    # The keyring is back, with the key of before: both open.
    assert vault.get("mail/8") == Secret("eight")
    assert vault.get("mail/7") == Secret("typed again")


def test_a_sealed_record_opens_for_its_own_name_only(
    open_over: Callable[[KeyringBackend], Vault], tmp_path: Path
) -> None:
    """Two records that change places are refused, although the same key sealed them."""
    vault = open_over(MemoryKeyring({}))
    vault.set("mail/7", Secret("seven"))
    folder = tmp_path / "data" / "vault"
    seven = {path for path in folder.glob("*.rec") if len(path.stem) == 64}
    vault.set("mail/8", Secret("eight"))
    eight = {path for path in folder.glob("*.rec") if len(path.stem) == 64} - seven
    eight.pop().write_bytes(seven.pop().read_bytes())

    with pytest.raises(VaultError) as caught:
        vault.get("mail/8")

    assert caught.value.code == "record_unreadable"
