"""What every store of secrets does: the memory double, and the encrypted one over a folder and over both databases."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from keyring.errors import PasswordDeleteError
from keyring.testing.backend import BackendBasicTests

from cgcore.errors import VaultError
from cgcore.storage.database import Database, open_database
from cgcore.storage.vault_records import VaultRecords
from cgcore.vault.encrypted import EncryptedKeyring
from cgcore.vault.master_key import MasterKey, Sealer, record_name
from cgcore.vault.memory import MemoryKeyring
from cgcore.vault.os_keyring import SealedKeyring
from cgcore.vault.records import FolderRecords, MemoryRecords, RecordStore
from cgcore.vault.stores import SecretStore

KEY = MasterKey(bytes(range(32)))


def _encrypted(records: RecordStore, key: MasterKey = KEY) -> SecretStore:
    return cast(SecretStore, EncryptedKeyring(records, Sealer(key)))


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A fresh SQLite database."""
    database = open_database(f"sqlite:///{tmp_path / 'records.db'}")
    yield database
    database.close()


@pytest.fixture(params=["memory", "folder", "sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    """A record store of each kind."""
    if request.param == "memory":
        yield MemoryRecords("here")
        return
    if request.param == "folder":
        yield FolderRecords(tmp_path / "vault")
        return
    if request.param == "sqlite":
        yield VaultRecords(request.getfixturevalue("sqlite_database"))
        return
    database = open_database(request.getfixturevalue("postgres_server").create_database("v_" + secrets.token_hex(6)))
    yield VaultRecords(database)
    database.close()


@pytest.fixture(params=["memory", "encrypted folder", "encrypted sqlite", "keyring folder", "keyring sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStore:
    """A store of each kind."""
    if request.param == "memory":
        return cast(SecretStore, MemoryKeyring({}))
    kind, _, place = request.param.partition(" ")
    records: RecordStore = FolderRecords(tmp_path / "vault")
    if place == "sqlite":
        records = VaultRecords(request.getfixturevalue("sqlite_database"))
    return _encrypted(records) if kind == "encrypted" else SealedKeyring(cast(SecretStore, MemoryKeyring({})), records)


class TestEncryptedKeyringByTheLibrary(BackendBasicTests):
    """The suite that keyring ships for its backends, on the encrypted one."""

    def init_keyring(self) -> EncryptedKeyring:
        """Return a fresh one."""
        self.place = TemporaryDirectory()
        return EncryptedKeyring(FolderRecords(Path(self.place.name)), Sealer(KEY))

    def cleanup(self) -> None:
        """Remove the secrets, then the folder."""
        super().cleanup()
        self.place.cleanup()


class TestMemoryKeyringByTheLibrary(BackendBasicTests):
    """The suite that keyring ships for its backends, on the double."""

    def init_keyring(self) -> MemoryKeyring:
        """Return a fresh one."""
        return MemoryKeyring({})


VALUES = [
    "x",
    "  both ends  ",
    "\"quotes\" 'both' \\ back",
    "two\nlines\r\n\tand a tab",
    "ñ€😀",
    "Ελληνικά",
    "a" * 1280,
    "ñ€😀x" * 2048,
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_value_comes_back_letter_by_letter(store: SecretStore, value: str) -> None:
    """Spaces, quotes, line ends, other scripts and the longest value are returned unchanged."""
    store.set_password("s", "mail/1", value)

    assert store.get_password("s", "mail/1") == value
    assert store.get_password("s", "mail/2") is None


def test_the_last_value_wins_and_a_deleted_one_is_gone(store: SecretStore) -> None:
    """Overwriting keeps only the last value; deleting leaves none, and deleting again says so."""
    store.set_password("s", "u", "first")
    store.set_password("s", "u", "second")

    assert store.get_password("s", "u") == "second"

    store.delete_password("s", "u")

    assert store.get_password("s", "u") is None
    with pytest.raises(PasswordDeleteError):
        store.delete_password("s", "u")


def test_names_that_look_alike_do_not_collide(store: SecretStore) -> None:
    """A moved separator, another case, another normal form, a path: each is a name of its own."""
    pairs = [
        ("a", "bc"),
        ("ab", "c"),
        ("A", "bc"),
        ("a", "b/c"),
        ("a", "../c"),
        ("é", "x"),
        ("e\u0301", "x"),
        ("a", ""),
    ]
    for number, (service, user) in enumerate(pairs):
        if user:
            store.set_password(service, user, str(number))

    assert [store.get_password(service, user) for service, user in pairs[:-1]] == [str(n) for n in range(7)]
    assert store.get_password("abc", "x") is None


def test_threads_lose_no_write(store: SecretStore) -> None:
    """Four threads that write fifty secrets each: two hundred are there."""
    failures: list[Exception] = []

    def write(thread: int) -> None:
        try:
            for number in range(50):
                store.set_password("s", f"{thread}/{number}", f"value {thread} {number}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert all(store.get_password("s", f"{t}/{n}") == f"value {t} {n}" for t in range(4) for n in range(50))


def test_records_are_added_once_and_listed(records: RecordStore) -> None:
    """``add`` keeps the first record, ``write`` replaces it, ``delete`` says whether there was one."""
    assert records.read("a") is None
    assert records.names() == []
    assert records.add("a", b"first") == b"first"
    assert records.add("a", b"second") == b"first"

    records.write("a", b"third")
    records.write("b", b"\x00\xff")

    assert (records.read("a"), records.read("b")) == (b"third", b"\x00\xff")
    assert records.names() == ["a", "b"]
    assert records.delete("a") is True
    assert records.delete("a") is False
    assert records.read("a") is None


def test_a_record_holds_neither_value_nor_user(records: RecordStore) -> None:
    """What lies in the store shows nothing of the secret, and equal secrets give different records."""
    store = _encrypted(records)
    store.set_password("s", "marta@example.test", "S3cr3t-ñ")
    store.set_password("s", "other", "S3cr3t-ñ")

    blobs = [records.read(name) or b"" for name in records.names()]

    assert len(set(blobs)) == 2
    assert not any("S3cr3t-ñ".encode() in blob or b"marta" in blob for blob in blobs)
    assert not any("marta" in name for name in records.names())


DAMAGES = {
    "emptied": lambda record: record[:0],
    "cut in the nonce": lambda record: record[:10],
    "cut by one byte": lambda record: record[:-1],
    "changed in the tag": lambda record: record[:-1] + bytes([record[-1] ^ 1]),
    "changed in the nonce": lambda record: record[:8] + bytes([record[8] ^ 1]) + record[9:],
    "of another version": lambda record: b"CGV\x02" + record[4:],
    "longer": lambda record: record + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_an_error_and_harms_no_other(records: RecordStore, damage: Any) -> None:
    """A cut, changed or foreign record raises our one error, never another value; its neighbour is readable."""
    store = _encrypted(records)
    store.set_password("s", "hurt", "value")
    store.set_password("s", "well", "neighbour")
    records.write(record_name("s", "hurt"), damage(records.read(record_name("s", "hurt"))))

    with pytest.raises(VaultError) as caught:
        store.get_password("s", "hurt")

    assert caught.value.code == "record_unreadable"
    assert store.get_password("s", "well") == "neighbour"


def test_swapped_records_do_not_open(records: RecordStore) -> None:
    """A record put under another name is refused: nobody reads across users."""
    store = _encrypted(records)
    store.set_password("s", "mail/1", "of one")
    store.set_password("s", "mail/2", "of two")
    records.write(record_name("s", "mail/1"), records.read(record_name("s", "mail/2")) or b"")

    with pytest.raises(VaultError, match="cannot be opened"):
        store.get_password("s", "mail/1")
    assert store.get_password("s", "mail/2") == "of two"


def test_another_key_opens_nothing(records: RecordStore) -> None:
    """A record sealed with one master key is closed to every other."""
    _encrypted(records).set_password("s", "u", "value")

    with pytest.raises(VaultError) as caught:
        _encrypted(records, MasterKey(bytes(32))).get_password("s", "u")

    assert caught.value.code == "record_unreadable"
