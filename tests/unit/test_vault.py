"""The vault as its callers see it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from cgcore.errors import VaultError
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.vault import Kept, PlaceKind, Secret, Vault, VaultPlace
from cgcore.vault.records import FolderRecords
from cgcore.vault.texts import place_text, problem_text
from cgcore.workbench.secrets import open_vault

ROOT = Path(__file__).parents[2]


@pytest.fixture
def vault(settings: Settings) -> Vault:
    """A vault over a folder, on a machine without a keyring."""
    return Vault(settings, FolderRecords(settings.data_dir / "vault"))


def test_a_secret_is_kept_read_and_removed(settings: Settings, database: Database) -> None:
    """On each database: set, get, overwrite, delete; deleting twice is no error; another name holds nothing."""
    vault = open_vault(settings, database)
    vault.set("mail/1", Secret("first"))
    vault.set("mail/1", Secret("second"))

    assert vault.get("mail/1") == Secret("second")
    assert vault.get("mail/11") is None

    vault.delete("mail/1")
    vault.delete("mail/1")

    assert vault.get("mail/1") is None


def test_records_lie_where_replicas_find_them(settings: Settings, database: Database) -> None:
    """With PostgreSQL they are in its table and no folder is made; with SQLite they are in the data folder."""
    vault = open_vault(settings, database)
    vault.set("mail/1", Secret("value"))
    folder = settings.data_dir / "vault"

    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert vault.describe().location == (str(folder) if database.is_sqlite else "vault_record")
    assert folder.exists() is database.is_sqlite
    assert open_vault(settings, database).get("mail/1") == Secret("value")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "secret_empty"),
        ("a" * 65_537, "secret_too_long"),
        ("😀" * 32_769, "secret_too_long"),
        ("a\ud800", "secret_invalid"),
        ("a\0b", "secret_invalid"),
    ],
    ids=["empty", "long", "long in UTF-16", "surrogate", "NUL"],
)
def test_what_no_keyring_could_keep_is_refused_before_any_write(
    vault: Vault, settings: Settings, value: str, code: str
) -> None:
    """The limits are those of every store, and nothing is touched."""
    with pytest.raises(VaultError) as caught:
        vault.set("mail/1", Secret(value))

    assert caught.value.code == code
    assert not settings.data_dir.exists()


def test_a_damaged_secret_can_be_written_again(vault: Vault, settings: Settings) -> None:
    """A record that cannot be opened raises on reading and is replaced by the next write."""
    vault.set("mail/1", Secret("value"))
    for path in (settings.data_dir / "vault").glob("*.rec"):
        if len(path.stem) == 64:
            path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(VaultError) as caught:
        vault.get("mail/1")
    vault.set("mail/1", Secret("again"))

    assert caught.value.code == "record_unreadable"
    assert vault.get("mail/1") == Secret("again")


def test_a_swap_returns_what_stood_there_and_cures_a_damaged_secret(vault: Vault, settings: Settings) -> None:
    """Swapping in, out and back; what cannot be opened counts as nothing, and does not stand in the way."""
    assert vault.swap("mail/1", Secret("one")) is None
    assert vault.swap("mail/1", Secret("two"), bond={"user": "ana"}) == Kept(Secret("one"), None)
    swapped = vault.swap("mail/1", Secret(""))
    assert swapped == Kept(Secret("two"), {"user": "ana"})
    assert vault.get("mail/1") is None

    vault.put_back("mail/1", swapped)
    assert vault.get("mail/1", bond={"user": "ana"}) == Secret("two")
    vault.put_back("mail/1", None)
    assert vault.get("mail/1") is None

    vault.set("mail/1", Secret("three"))
    for path in (settings.data_dir / "vault").glob("*.rec"):
        if len(path.stem) == 64:
            path.write_bytes(b"damaged")

    assert vault.swap("mail/1", Secret("four")) is None
    assert vault.get("mail/1") == Secret("four")


def test_a_secret_is_read_only_for_what_it_was_kept_for(settings: Settings, database: Database) -> None:
    """Another user or server, or one that was never named, gets an error and no value; fewer demands are met."""
    vault = open_vault(settings, database)
    vault.set("mail/1", Secret("S3cr3t-ñ"), bond={"user": "ana", "smtp": "smtp.example.com"})
    vault.set("mail/2", Secret("kept before there were bonds"))

    assert vault.get("mail/1", bond={"smtp": "smtp.example.com"}) == Secret("S3cr3t-ñ")
    for wanted in ({"smtp": "smtp.example.net"}, {"user": "ana", "imap": "smtp.example.com"}, {"user": ""}):
        with pytest.raises(VaultError) as misplaced:
            vault.get("mail/1", bond=wanted)
        assert misplaced.value.code == "secret_misplaced"
        assert "S3cr3t" not in str(misplaced.value)
    with pytest.raises(VaultError) as unbound:
        vault.get("mail/2", bond={"user": "ana"})
    assert unbound.value.code == "secret_unbound"


def test_a_read_takes_less_than_two_milliseconds(vault: Vault) -> None:
    """Measured over 200 reads, the best of five tries."""
    vault.set("mail/1", Secret("value"))

    def average() -> float:
        began = time.perf_counter()
        for _ in range(200):
            vault.get("mail/1")
        return (time.perf_counter() - began) / 200

    assert min(average() for _ in range(5)) < 0.002


def test_a_start_without_bus_terminal_or_home_asks_nothing(tmp_path: Path) -> None:
    """No D-Bus, standard input closed, a home that cannot be written: the encrypted store is named, quickly."""
    script = (
        "from cgcore.settings import load_settings; from cgcore.vault import *;"
        "from cgcore.vault.records import FolderRecords; s = load_settings();"
        "v = Vault(s, FolderRecords(s.data_dir / 'vault')); v.set('mail/1', Secret('value'));"
        "print(v.describe().kind, v.describe().reason)"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/proc",
        "CG_DATA_DIR": str(tmp_path / "data"),
        "CG_CONFIG_DIR": str(tmp_path / "config"),
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        start_new_session=True,
    )  # fmt: skip

    assert done.stderr == ""
    assert done.stdout.split() == ["encrypted", "keyring_none"]


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("keyring.backends.null.Keyring", "keyring_refused"),
        ("keyring.backends.chainer.ChainerBackend", "keyring_refused"),
        ("keyring.backends.fail.Keyring", "keyring_refused"),
        ("no.such.Backend", "keyring_unknown"),
    ],
)
def test_a_keyring_named_by_the_environment_is_judged_too(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, named: str, reason: str
) -> None:
    """``PYTHON_KEYRING_BACKEND`` cannot bring in a refused or unknown backend."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", named)
    vault.set("mail/1", Secret("value"))

    assert vault.describe().kind is PlaceKind.ENCRYPTED
    assert vault.describe().reason == reason
    assert vault.get("mail/1") == Secret("value")


def test_a_secret_is_in_no_file_of_the_data_folder(vault: Vault, settings: Settings) -> None:
    """The canary is absent from every byte under the data and configuration folders, and from every ``repr``."""
    vault.set("mail/1", Secret("S3cr3t-ñ"))
    written = b"".join(
        path.read_bytes()
        for root in (settings.data_dir, settings.config_dir)
        for path in root.rglob("*")
        if path.is_file()
    )

    assert "S3cr3t-ñ".encode() not in written
    assert "S3cr3t" not in f"{vault!r} {vault.get('mail/1')!r} {vault.describe()!r}"


def test_every_place_and_problem_has_its_sentence(settings: Settings) -> None:
    """Each code that the vault's modules raise has a title and a fix, no brace shows, and unknown ones are answered."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cgcore" / "vault").glob("*.py"))
    codes = {part.split('"')[0] for part in source.split('code="')[1:]}
    texts = tomllib.loads((ROOT / "cgcore" / "vault" / "texts_es.toml").read_text(encoding="utf-8"))
    # These never block: the encrypted store stands in, and they are its reason.
    reasons = {"keyring_none", "keyring_refused", "keyring_unknown", "keyring_unproven"}

    assert not {code for code in codes - reasons if f"{code}_title" not in texts or f"{code}_fix" not in texts}
    assert all(f"why_{reason}" in texts for reason in reasons)
    for place in (
        VaultPlace(PlaceKind.OS_KEYRING, name="SecretService Keyring"),
        VaultPlace(PlaceKind.ENCRYPTED, location="here", reason="keyring_none"),
        VaultPlace(PlaceKind.BLOCKED, reason="master_key_wrong"),
    ):
        text = place_text(place, settings)
        assert str(text.title)
        assert not {"{", "…"} & set(str(text.detail))
        assert bool(text.fix) is (place.kind is PlaceKind.BLOCKED)
    assert problem_text("never heard of").fix
