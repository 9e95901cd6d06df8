"""Settings as people write them: what is understood, what is refused with a sentence, what is not safe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cgcore.errors import InvalidSettings
from cgcore.settings import Settings, describe_problems, find_unsafe, load_settings

ROOT = Path(__file__).parents[2]
RUBBISH = {
    "CG_TRUSTED_PROXIES": ["S3cr3t", "10.0.0.0/33", "10.0.0.0/8;::1", "[::1]", "1.2.3", "10.0.0.0/8 ::1"],
    "CG_MAIL_ALLOW_PRIVATE": ["S3cr3t", "localhost", "10.0.0.0/-1", "*"],
    "CG_PUBLIC_URL": [
        *("S3cr3t.example.es", "//S3cr3t.es", "ftp://S3cr3t.es", "https://", "https:///S3cr3t", "https://a b.es"),
        *(f"https://config.es{tail}" for tail in ("/S3cr3t", "//", "/?", "?S3cr3t", "#S3cr3t", "#")),
        *("https://ana:S3cr3t@config.es", "https://@config.es", "https://a.es,https://b.es", "https:\\\\config.es"),
        *(f"https://config.es:{port}" for port in ("0", "65536", "S3cr3t", "-1", "")),
        *(f"https://{host}" for host in ("*.config.es", "a..es", "-a.es", "1.2.3", "[::]", "[S3cr3t]", "a" * 64)),
    ],
    "CG_DNS_SERVER": ["S3cr3t:dns", "1.2.3.4:0", "1.2.3.4:99999", "a b", "[::1]:", ":53", "1.2.3.4:"],
    "CG_SANDBOX": ["S3cr3t", "ON!", "1"],
    "CG_PRODUCTION": ["S3cr3t", "2", "sí"],
    "CG_DATA_DIR": ["x" * 256, "~S3cr3t-nobody/data"],
    "CG_MASTER_KEY_FILE": ["/" + "x/" * 3000],
}


def _load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in RUBBISH.items() for value in values],
    ids=lambda each: each[:40],
)
def test_what_cannot_be_understood_is_a_sentence_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """And not its value, which may hold a secret."""
    with pytest.raises(InvalidSettings) as refused:
        _load(monkeypatch, **{name: value})

    sentences = describe_problems(refused.value)
    assert len(sentences) == 1
    assert sentences[0].startswith(f"{name} ")
    assert "S3cr3t" not in sentences[0] + str(refused.value)
    assert "{" not in sentences[0]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://config.es", "https://config.es"),
        (" https://Config.ES:443/ ", "https://config.es"),
        ("http://localhost:8501", "http://localhost:8501"),
        ("https://config.es:8443/", "https://config.es:8443"),
        ("https://configuración.es", "https://xn--configuracin-bib.es"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://mi_servidor.es.", "https://mi_servidor.es"),
        ("", ""),
    ],
)
def test_a_public_address_is_kept_as_a_browser_says_it(monkeypatch: pytest.MonkeyPatch, given: str, kept: str) -> None:
    """Scheme, host and port only: that is what is compared with Origin."""
    assert _load(monkeypatch, CG_PUBLIC_URL=given).public_url == kept


def test_lists_may_be_written_loosely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces, an empty element, an address alone, host bits."""
    found = _load(monkeypatch, CG_TRUSTED_PROXIES=" 10.0.0.1/8, ,::1,192.0.2.7,").trusted_proxies

    assert [str(network) for network in found] == ["10.0.0.0/8", "::1/128", "192.0.2.7/32"]


def test_a_folder_is_complete_wherever_the_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also below the home folder, and beside the working directory."""
    monkeypatch.setenv("HOME", "/home/ana")

    assert _load(monkeypatch, CG_DATA_DIR="~/datos").data_dir == Path("/home/ana/datos")
    assert _load(monkeypatch, CG_DATA_DIR="datos").data_dir == Path.cwd() / "datos"


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        *(({"trusted_proxies": wide}, ["wide_proxies"]) for wide in ("0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1")),
        *(({"trusted_proxies": wide}, ["wide_proxies"]) for wide in ("8.0.0.0/8", "2000::/3", "::1,0::/8")),
        *(({"trusted_proxies": fine}, []) for fine in ("10.0.0.0/8", "fc00::/7", "104.16.0.0/13" + ",", "192.0.2.7")),
        *(({"mail_allow_private": wide}, ["wide_private"]) for wide in ("0.0.0.0/0", "::/0")),
        ({"mail_allow_private": "10.0.0.0/8,127.0.0.0/8,::1"}, []),
        ({"public_url": "http://config.es"}, []),
        ({"production": True}, ["no_public_url"]),
        *(({"production": True, "public_url": url}, ["plain_public_url"]) for url in ("http://config.es", "http://10.0.0.5")),
        *(({"production": True, "public_url": url}, []) for url in ("https://config.es", "http://localhost:8501")),
    ],
)  # fmt: skip
def test_what_is_not_safe_is_named(settings: dict[str, Any], codes: list[str]) -> None:
    """Everybody's networks anywhere; plain HTTP over a line in production."""
    assert find_unsafe(load_settings(**settings)) == codes


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["-m", "cgcore", "user", "disable", "ana"], 2),
        (["-m", "cgcore", "export"], 2),
        (["-m", "cgcore", "vault", "move", "encrypted"], 2),
        (["-m", "cgcore", "check"], 1),
        (["-m", "streamlit", "run", "streamlit_app.py", "--server.port", "0"], 1),
    ],
    ids=lambda each: " ".join(each[1:4]) if isinstance(each, list) else "",
)
def test_every_way_to_start_says_it_without_a_traceback(tmp_path: Path, command: list[str], code: int) -> None:
    """Two settings are wrong at once: both are named, nothing is made."""
    own = {"CG_DATA_DIR": str(tmp_path / "data"), "CG_CONFIG_DIR": str(tmp_path / "config")}
    wrong = {"CG_TRUSTED_PROXIES": "S3cr3t", "CG_PUBLIC_URL": "https://config.es/S3cr3t"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **own, **wrong}, capture_output=True, text=True
    )
    said = done.stdout + done.stderr

    assert done.returncode == code
    assert "CG_TRUSTED_PROXIES no se entiende" in said
    assert "CG_PUBLIC_URL lleva de más" in said
    assert "Traceback" not in said
    assert "S3cr3t" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"CG_TRUSTED_PROXIES": "0.0.0.0/0"}, "CG_TRUSTED_PROXIES abarca demasiado"),
        ({"CG_TRUSTED_PROXIES": "::/0"}, "CG_TRUSTED_PROXIES abarca demasiado"),
        ({"CG_PUBLIC_URL": "http://config.es"}, "CG_PUBLIC_URL empieza por http://"),
    ],
)
def test_production_and_check_refuse_what_is_not_safe(tmp_path: Path, wrong: dict[str, str], words: str) -> None:
    """The server ends with the reason, and the command says the same."""
    own = {"CG_DATA_DIR": str(tmp_path / "data"), "CG_CONFIG_DIR": str(tmp_path / "config"), "CG_PRODUCTION": "1"}
    own |= {"CG_PUBLIC_URL": "https://config.es", "CG_MASTER_KEY": "A" * 43 + "="}
    environment = {**os.environ, **own, **wrong}
    server = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", "0"]
    runs = [
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        for command in (server, [sys.executable, "-m", "cgcore", "check"])
    ]

    assert all(run.returncode not in (0, None) for run in runs)
    assert all(words in run.stdout for run in runs)
    assert all("Traceback" not in run.stdout + run.stderr for run in runs)
