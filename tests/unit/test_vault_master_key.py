"""The master key: three sources, what is refused, and the keys derived from it."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cgcore.errors import VaultError
from cgcore.settings import Settings
from cgcore.vault import PlaceKind, Secret, Vault
from cgcore.vault.master_key import MasterKey, load_master_key
from cgcore.vault.records import FolderRecords
from cgcore.workbench.secrets import inspect_key
from tests.conftest import make_settings

ROOT = Path(__file__).parents[2]
GIVEN = base64.b64encode(bytes(range(32))).decode()


def _vault(settings: Settings) -> Vault:
    return Vault(settings, FolderRecords(settings.data_dir / "vault"))


def _write_key(path: Path, text: str = GIVEN, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_is_made_once_outside_the_data_folder(settings: Settings) -> None:
    """Without a key one is made, mode 0600, in the configuration folder; the next start uses the same."""
    first = _vault(settings).derive_key("gate")
    path = settings.config_dir / "master.key"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(settings.data_dir.rglob("master.key"))
    assert path.read_bytes().strip() not in b"".join(p.read_bytes() for p in settings.data_dir.rglob("*.rec"))
    assert _vault(settings).derive_key("gate") == first


def test_each_label_gives_another_key(settings: Settings) -> None:
    """Keys of two uses differ, none is the master key, and the length is the one asked for."""
    vault = _vault(settings)
    keys = {vault.derive_key("gate"), vault.derive_key("pepper"), vault.derive_key("vault")}

    assert len(keys) == 3
    assert base64.b64decode((settings.config_dir / "master.key").read_bytes()) not in keys
    assert len(vault.derive_key("gate", 16)) == 16


def test_derivation_is_the_published_one() -> None:
    """The derived key is HKDF-SHA256 with the label as info: a change would orphan every vault."""
    assert MasterKey(bytes(range(32))).derive("gate token").hex() == (
        "6bf1d0c52ec66a8a54d9412682858e657be210a919e12ef99de78b59744ae4a3"
    )


@pytest.mark.parametrize(
    "text", ["x", "not base64!", base64.b64encode(b"x" * 31).decode(), base64.b64encode(b"x" * 33).decode()]
)
def test_a_key_that_is_not_32_bytes_is_refused(tmp_path: Path, text: str) -> None:
    """Too short, too long, not base64: refused, and the text is not in the error."""
    settings = make_settings(tmp_path, master_key=text)

    with pytest.raises(VaultError) as caught:
        _vault(settings).derive_key("gate")

    assert caught.value.code == "master_key_invalid"
    assert caught.value.__cause__ is None
    assert _vault(settings).describe().kind is PlaceKind.BLOCKED
    assert _vault(settings).describe().reason == "master_key_invalid"


def test_the_environment_wins_and_makes_no_file(tmp_path: Path) -> None:
    """``CG_MASTER_KEY`` is used as it is, and nothing is written beside it."""
    settings = make_settings(tmp_path, master_key=GIVEN)

    assert _vault(settings).derive_key("gate") == MasterKey(bytes(range(32))).derive("gate")
    assert not settings.config_dir.exists()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o404, 0o440])
def test_a_key_file_of_another_mode_is_refused(tmp_path: Path, mode: int) -> None:
    """Nobody but the owner may read it, and the mode is not quietly repaired."""
    path = _write_key(tmp_path / "key", mode=mode)
    settings = make_settings(tmp_path, master_key_file=path)

    with pytest.raises(VaultError) as caught:
        _vault(settings).derive_key("gate")

    assert caught.value.code == "master_key_mode"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_its_owner_alone_is_good(tmp_path: Path, mode: int) -> None:
    """Also one that its owner can only read, as a secret that is mounted is; ``check`` says the same."""
    path = _write_key(tmp_path / "key", mode=mode)
    settings = make_settings(tmp_path, master_key_file=path)

    assert _vault(settings).derive_key("gate") == MasterKey(bytes(range(32))).derive("gate")
    assert inspect_key(settings)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_named_key_file_is_made_but_not_in_production(tmp_path: Path) -> None:
    """A missing ``CG_MASTER_KEY_FILE`` is made; production refuses, and makes none."""
    path = tmp_path / "elsewhere" / "key"

    with pytest.raises(VaultError) as caught:
        _vault(make_settings(tmp_path, master_key_file=path, production=True)).derive_key("gate")

    assert caught.value.code == "master_key_missing"
    assert not path.exists()

    _vault(make_settings(tmp_path, master_key_file=path)).derive_key("gate")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_vault_without_its_key_is_refused(settings: Settings) -> None:
    """When the key file is gone and secrets are there, no fresh key is made in its place."""
    _vault(settings).set("mail/1", Secret("value"))
    path = settings.config_dir / "master.key"
    path.unlink()

    with pytest.raises(VaultError) as caught:
        _vault(settings).derive_key("gate")

    assert caught.value.code == "master_key_lost"
    assert not path.exists()


def test_a_key_of_another_vault_is_refused_at_once(settings: Settings, tmp_path: Path) -> None:
    """Another key than the vault was made with is refused before anything is read or derived."""
    _vault(settings).set("mail/1", Secret("value"))
    other = make_settings(tmp_path, master_key=GIVEN)

    with pytest.raises(VaultError) as caught:
        _vault(other).derive_key("gate")
    with pytest.raises(VaultError):
        _vault(other).get("mail/1")

    assert caught.value.code == "master_key_wrong"
    assert _vault(settings).get("mail/1") == Secret("value")


def test_threads_that_start_together_make_one_key(settings: Settings) -> None:
    """Eight vaults opened at the same time, as eight processes would, derive the same key."""
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(_vault(settings).derive_key("gate"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_key_file_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    """A folder that cannot be written gives a code, not a traceback of the system."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(VaultError) as caught:
        load_master_key(make_settings(tmp_path, master_key_file=tmp_path / "file" / "key"), may_create=True)

    assert caught.value.code == "master_key_unreadable"


def test_deriving_loads_no_keyring(tmp_path: Path) -> None:
    """The gate derives its key at start: neither that nor the import loads ``keyring``."""
    script = (
        "import sys; from cgcore.settings import load_settings; import cgcore.vault;"
        "assert 'cryptography' not in sys.modules; from pathlib import Path;"
        "from cgcore.vault.vault import Vault; from cgcore.vault.records import FolderRecords;"
        "s = load_settings(); Vault(s, FolderRecords(s.data_dir / 'vault')).derive_key('gate');"
        "print('keyring' in sys.modules)"
    )
    environment: dict[str, Any] = {
        **os.environ,
        "CG_DATA_DIR": str(tmp_path / "data"),
        "CG_MASTER_KEY": GIVEN,
    }
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert (done.returncode, done.stdout.strip()) == (0, "False")


def test_the_key_never_shows(settings: Settings) -> None:
    """Neither the key's own ``repr`` nor the vault's tells it."""
    key = load_master_key(settings, may_create=True)

    assert repr(key) == str(key) == "MasterKey(…)"
