"""What `deploy/` and the Containerfile say, tried: the unit by systemd, the image's steps in a clean folder.

The proxies stand before real processes in ``test_replicas.py``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from cgcore.settings import Settings
from tests.servers.daemon import Daemon, free_ports, make_folder, remove
from tests.servers.leftout import leave_out
from tests.servers.postgres import PostgresServer
from tests.servers.product import ROOT

DEPLOY = ROOT / "deploy"
OURS = {f"CG_{name.upper()}" for name in Settings.model_fields}
# Written by somebody else, or only for a proxy.
OTHERS = {"CG_SITE", "CG_UPSTREAMS"}


def test_every_setting_that_is_deployed_is_one_of_the_product() -> None:
    """A name that is misspelt would be ignored without a word."""
    files = [*DEPLOY.rglob("*.*"), ROOT / "Containerfile"]
    named = {name for file in files for name in re.findall(r"\bCG_[A-Z_]+[A-Z]\b(?!«)", file.read_text())}

    assert named - OURS - OTHERS - {"CG_NAME"} == set()


# ---- systemd


def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    """No complaint about any line; its exposure is among the lowest that a server with a network can have."""
    if shutil.which("systemd-analyze") is None:
        leave_out("systemd")
    unit = tmp_path / "cloud-gestion.service"
    told = (DEPLOY / "cloud-gestion.service").read_text()
    unit.write_text(told.replace("/opt/cloud-gestion/bin/cloud-gestion", sys.executable))
    verified = _run("systemd-analyze", "verify", "--man=no", str(unit))
    rated = _run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit))

    assert (verified.returncode, verified.stderr) == (0, "")
    assert rated.returncode == 0, rated.stdout[-300:]


# ---- Containers


def test_the_containers_of_compose_are_closed_and_find_each_other() -> None:
    """Two processes with their own names, the key as a secret, nothing writable but their volumes, no open database."""
    told = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = told["services"]
    apps = {name: service for name, service in services.items() if name.startswith("app")}
    upstreams = services["proxy"]["environment"]["CG_UPSTREAMS"].split()

    assert [f"{name}:{_image().exposed}" for name in apps] == upstreams
    assert {service["environment"]["CG_INSTANCE"] for service in apps.values()} == set(apps)
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in apps.values())
    assert {service["stop_grace_period"] for service in apps.values()} == {"30s"}
    for service in apps.values():
        assert service["environment"]["CG_MASTER_KEY_FILE"] == "/run/secrets/" + service["secrets"][0]
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(told["volumes"])
        assert {volume.split(":")[1] for volume in service["volumes"]} == set(_image().volumes)
        assert "ports" not in service
    assert "ports" not in services["db"]
    assert (DEPLOY / services["proxy"]["volumes"][0].split(":")[0]).is_file()


def test_the_pods_of_kubernetes_are_closed_and_ask_for_the_health() -> None:
    """What the deployment names is there: secret, keys, ports, volumes; the address of the check is ours."""
    secret, service, deployment = yaml.safe_load_all((DEPLOY / "kubernetes/cloud-gestion.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    references = [entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "secretKeyRef" in str(entry)]

    assert {(each["name"], each["key"]) for each in references} == {
        (secret["metadata"]["name"], key) for key in secret["stringData"]
    }
    assert deployment["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
    assert (deployment["spec"]["replicas"], service["spec"]["sessionAffinity"]) == (2, "ClientIP")
    assert container["ports"][:1] == [{"name": service["spec"]["ports"][0]["targetPort"], "containerPort": 8501}]
    assert container["readinessProbe"]["httpGet"]["path"] == "/salud"
    assert "httpGet" not in container["livenessProbe"]
    assert pod["securityContext"]["runAsUser"] == int(_image().user.split(":")[0])
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {*_image().volumes, "/tmp"}  # noqa: S108


@dataclass(frozen=True)
class Site:
    """What whoever deploys sets: the secrets, the names, and where the database is on this machine."""

    key: Path
    password: str
    database: str
    name: str = "config.example.es"

    def fill_compose(self, environment: dict[str, str]) -> dict[str, str]:
        """Return a service's environment as compose would, and the address of its database as its network would."""
        given = {"POSTGRES_PASSWORD": self.password, "CG_SITE": self.name}
        filled = {
            name: re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: given[found[1]], value)
            for name, value in environment.items()
        }
        filled["CG_DATABASE_URL"] = filled["CG_DATABASE_URL"].replace("@db/", f"@{self.database}/")
        return {**filled, "CG_MASTER_KEY_FILE": str(self.key)}

    def fill_pod(self, secret: dict[str, str], entries: list[dict[str, Any]]) -> dict[str, str]:
        """Return a container's environment as Kubernetes would, with what stands in «…» replaced."""
        given = {
            "master-key": self.key.read_text().strip(),
            "database-url": secret["database-url"]
            .replace("«password»", self.password)
            .replace("«host»", self.database),
        }
        assert given.keys() == secret.keys()
        filled: dict[str, str] = {}
        for entry in entries:
            source = entry.get("valueFrom", {})
            if "secretKeyRef" in source:
                filled[entry["name"]] = given[source["secretKeyRef"]["key"]]
            else:
                filled[entry["name"]] = entry.get("value", "cloud-gestion-7d9f-x2x")
        return {name: re.sub("«(.*)»", r"\1", value) for name, value in filled.items()}


def _command(folder: Path, environment: dict[str, str], port: int) -> list[str]:
    """Return the image's command with ``environment`` and folders of its own."""
    own = {"CG_DATA_DIR": str(folder / "data"), "CG_CONFIG_DIR": str(folder / "config"), "PYTHONDONTWRITEBYTECODE": "1"}
    bound = {"STREAMLIT_SERVER_ADDRESS": "127.0.0.1", "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    given = [f"{name}={value}" for name, value in {**environment, **own, **bound}.items()]
    folder.mkdir()
    return ["env", "-i", "-C", str(ROOT), *given, sys.executable, *_image().command[1:-1], str(port)]


@contextmanager
def _serving(folder: Path, environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Run it, and yield what ``/salud`` answers a check that knows no name of ours."""
    (port,) = free_ports(1)
    server = Daemon(_command(folder, environment, port), folder / "log")
    try:
        server.wait_for([port])
        answer = httpx.get(f"http://127.0.0.1:{port}/salud", timeout=30)
        yield {**answer.json(), "code": answer.status_code}
    except httpx.HTTPError:
        pytest.fail((folder / "log").read_text()[-2000:], pytrace=False)
    finally:
        server.stop()


def test_what_compose_and_kubernetes_set_makes_two_processes_of_one_installation(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    """In production, each with its own form of the same key: both are healthy over one database, which asks a password.

    A third one with another key does not start.
    """
    told = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    secret, _, deployment = yaml.safe_load_all((DEPLOY / "kubernetes/cloud-gestion.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    made = [_run(sys.executable, "-m", "cgcore", "vault", "key", "make", str(tmp_path / name)) for name in ("a", "b")]
    assert [each.returncode for each in made] == [0, 0], made[0].stderr
    postgres_server.guard(postgres_server.create_database("cloud"), "frase-de-la-base")
    site = Site(tmp_path / "a", "frase-de-la-base", f"127.0.0.1:{postgres_server.port}")
    compose = site.fill_compose(told["app1"]["environment"])
    pod = site.fill_pod(secret["stringData"], container["env"])
    pod["CG_METRICS"] = f"127.0.0.1:{free_ports(1)[0]}"
    with _serving(tmp_path / "one", compose) as one, _serving(tmp_path / "two", pod) as two:
        metrics = httpx.get(f"http://{pod['CG_METRICS']}/metrics").status_code
        other = compose | {"CG_MASTER_KEY_FILE": str(tmp_path / "b")}
        third = _run(*_command(tmp_path / "three", other, *free_ports(1)))
    lines = (tmp_path / "one" / "log").read_text().splitlines()

    assert [(each["code"], each["instance"]) for each in (one, two)] == [
        (200, "app1"),
        (200, "cloud-gestion-7d9f-x2x"),
    ]
    assert metrics == 200
    assert third.returncode != 0
    assert "clave maestra" in third.stdout + third.stderr
    assert "frase-de-la-base" not in third.stdout + third.stderr + "".join(lines)


@dataclass
class Image:
    """What a Containerfile says of the last image in it."""

    copies: list[list[str]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)
    user: str = ""
    exposed: int = 0
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)


def _image() -> Image:
    image = Image()
    for line in (ROOT / "Containerfile").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        word, rest = line.split(" ", 1)
        image.steps.append((word, rest))
        if word == "ENV":
            image.environment |= dict(part.split("=", 1) for part in shlex.split(rest))
        elif word == "VOLUME":
            image.volumes = json.loads(rest)
        elif word == "USER":
            image.user = rest
        elif word == "EXPOSE":
            image.exposed = int(rest)
        elif word == "HEALTHCHECK":
            image.health = json.loads(rest[rest.index("CMD") + 3 :])
        elif word in ("ENTRYPOINT", "CMD"):
            image.command += json.loads(rest)
        else:
            assert word in ("ARG", "FROM", "WORKDIR", "RUN", "COPY", "STOPSIGNAL"), word
    return image


class Builder:
    """Takes the steps of the Containerfile in a folder that stands for the root of the image.

    Two are left to what this machine has: no package is installed, and pip's step takes the libraries of the lock, and
    no other, from where the tests run. The same command put them there, out of the lock for development.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.place = root, root

    def build(self, image: Image) -> None:
        for word, rest in image.steps:
            if word == "WORKDIR":
                self.place = self.inside(rest)
                self.place.mkdir(parents=True, exist_ok=True)
            elif word == "COPY" and not rest.startswith("--from"):
                self._copy(*shlex.split(rest))
            elif word == "RUN":
                self._do(rest)

    def own(self, image: Image) -> None:
        """Give the volumes to whoever runs this."""
        for volume in image.volumes:
            os.chown(self.inside(volume), os.geteuid(), os.getegid())

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def translate(self, words: str) -> str:
        """Return a command with the places of the image replaced by ours."""
        return re.sub(r"(?<![\w.])/(opt|var/lib|etc|app)/?(?=[\w/]|$)", lambda found: f"{self.root}{found[0]}", words)

    def _copy(self, *names: str) -> None:
        *sources, target = names
        for source in map(ROOT.joinpath, sources):
            place = self.place / target / (source.name if target.endswith("/") else "")
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, place)

    def _do(self, command: str) -> None:
        if command.startswith("apt-get"):
            return
        if "pip install" in command:
            assert "--require-hashes -r requirements.txt" in command
            assert (self.place / "requirements.txt").is_file()
            (site,) = (self.root / "opt").rglob("site-packages")
            _take_libraries(self.place / "requirements.txt", site)
            return
        command = self.translate(command).replace("python -m venv", f"{sys.executable} -m venv --without-pip")
        if os.geteuid() != 0:
            command = re.sub(r"-[og] 10001 ?", "", command)
        subprocess.run(shlex.split(command), cwd=self.place, check=True)


def _take_libraries(lock: Path, site: Path) -> None:
    """Let ``site`` hold what ``lock`` names for this machine, by version, and nothing that only the tests use."""
    pins = [Requirement(line.rstrip(" \\")) for line in lock.read_text().splitlines() if re.match(r"\w", line)]
    for pin in pins:
        if pin.marker is not None and not pin.marker.evaluate():
            continue
        library = distribution(pin.name)
        assert pin.specifier.contains(library.version), (str(pin), library.version)
        for top in {file.parts[0] for file in library.files or ()} - {"..", "__pycache__"}:
            # A name that several share (google) is there already.
            if not (site / top).exists():
                (site / top).symlink_to(str(library.locate_file(top)))


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[Builder, Image]]:
    """The image's steps, taken."""
    folder, image = make_folder("cg-image-"), _image()
    builder = Builder(folder)
    builder.build(image)
    yield builder, image
    remove(folder)


def test_the_image_serves_as_nobody_and_writes_only_to_its_volumes(built: tuple[Builder, Image]) -> None:
    """Its own command, environment, user and health check; the health asks by the address that a proxy would.

    Its root and the file system that holds it are read-only but for them, as ``--read-only --tmpfs /tmp`` makes it.
    Where that cannot be mounted it serves all the same, and the test is told as left out.
    """
    builder, image = built
    (port,) = free_ports(1)
    closed, own = _read_only(builder, image), str(builder.inside(image.environment["HOME"]))
    before = _list_files(builder.root, image)
    environment = {name: builder.translate(value) for name, value in image.environment.items()}
    environment |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "STREAMLIT_SERVER_ADDRESS": "127.0.0.1"}
    environment |= {"HOME": own, "TMPDIR": own}
    given = ["env", "-i", "-C", str(builder.place), *(f"{name}={value}" for name, value in environment.items())]
    python = str(builder.inside("/opt/cloud-gestion/bin/python"))
    user, group = image.user.split(":")
    nobody = [
        "setpriv",
        f"--reuid={user}",
        f"--regid={group}",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
    ]
    is_closed = os.geteuid() == 0 and _run(*closed, "true").returncode == 0
    is_nobody = is_closed and _run(*closed, *nobody, "env", python, "-c", "").returncode == 0
    if is_closed:
        given = [*closed, *(nobody if is_nobody else ()), *given]
        tried = _run(*closed, "touch", str(builder.inside("/app/written")))
        assert "Read-only file system" in tried.stderr
    if not is_nobody:  # the interpreter of this machine is its owner's alone
        builder.own(image)
    command = [python, *image.command[1:]]
    assert command[-2:] == ["--port", str(image.exposed)]
    log = builder.root.parent / f"{builder.root.name}.log"
    server = Daemon([*given, *command[:-1], str(port)], log)
    try:
        server.wait_for([port])
        asked = [part.replace(f":{image.exposed}/", f":{port}/") for part in image.health[1:]]
        health = subprocess.run([*given, python, *asked], capture_output=True, text=True, check=False)
    finally:
        server.stop()
    said = log.read_text()
    log.unlink()

    assert image.environment["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"  # noqa: S104
    assert health.returncode == 0, health.stderr + said
    assert "Traceback" not in said
    assert _list_files(builder.root, image) == before
    assert any(builder.inside(image.volumes[0]).iterdir())
    if not is_closed and os.geteuid() != 0:
        pytest.skip("served; that its root may be read-only is shown where the test runs as root")
    if not is_closed:
        leave_out("a mount for root's processes alone")


_IMPORTS_ALL = """
from importlib import import_module
from importlib.util import find_spec
from pkgutil import walk_packages
import cgcore, pages.ui
for package in (cgcore, pages.ui):
    for module in walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
print([name for name in ("streamlit", "psycopg", "pytest", "ruff") if find_spec(name)])
"""


def test_the_product_needs_nothing_but_the_libraries_of_the_lock(built: tuple[Builder, Image]) -> None:
    """Every module of it can be imported, where what only the tests use is not to be had."""
    builder, image = built
    python = str(builder.inside("/opt/cloud-gestion/bin/python"))
    given = ["env", "-i", "-C", str(builder.place), f"PATH={image.environment['PATH']}", "PYTHONDONTWRITEBYTECODE=1"]
    found = _run(*given, python, "-c", _IMPORTS_ALL)

    assert (found.returncode, found.stdout.strip()) == (0, "['streamlit', 'psycopg']"), found.stderr


def _read_only(builder: Builder, image: Image) -> list[str]:
    """Return the command before one that is to see every file system read-only, but for the volumes and ``/tmp``."""
    volumes = [str(builder.inside(volume)) for volume in image.volumes]
    own = str(builder.inside(image.environment["HOME"]))
    Path(own).mkdir(exist_ok=True)
    steps = [
        "mount --make-rprivate /",
        *(f"mount --bind {volume} {volume}" for volume in volumes),
        f"mount -t tmpfs -o mode=1777 tmpfs {own}",
        f"mount -o remount,ro,bind $(stat -c %m {builder.root})",
        "mount -o remount,ro,bind /",
        'exec "$@"',
    ]
    return ["unshare", "--mount", "sh", "-ec", "\n".join(steps), "sh"]


def _list_files(root: Path, image: Image) -> set[str]:
    """Return every file outside the volumes."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    return {name for name in found if not f"/{name}".startswith(tuple(image.volumes))}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment: dict[str, Any] = {**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
