"""The locks hold what pyproject.toml asks for, with everything that this needs in turn, and nothing else."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _locked(name: str) -> list[Requirement]:
    """Return the requirements of a lock, each without its hashes."""
    return [Requirement(line) for line in re.findall(r"(?m)^(\w.*?) *\\?$", (ROOT / name).read_text("utf-8"))]


def _pins(requirements: Iterable[Requirement]) -> dict[str, list[str]]:
    """Return the versions pinned for each package; there are two where Python versions need different ones."""
    pins: dict[str, list[str]] = defaultdict(list)
    for requirement in requirements:
        pins[canonicalize_name(requirement.name)] += [one.version for one in requirement.specifier]
    return pins


def _asked_for(group: str = "") -> list[Requirement]:
    """Return what pyproject.toml asks for: to run, or for a dependency group with the groups that it includes."""
    entries: list[str | dict[str, str]] = PROJECT["dependency-groups"][group] if group else []
    found = [] if group else [Requirement(entry) for entry in PROJECT["project"]["dependencies"]]
    for entry in entries:
        found += [Requirement(entry)] if isinstance(entry, str) else _asked_for(entry["include-group"])
    return found


def _out_of_range(requirements: Iterable[Requirement], pins: dict[str, list[str]]) -> list[str]:
    """Return the requirements that have no pin, or one that they do not allow."""
    found = [(requirement, pins.get(canonicalize_name(requirement.name), [])) for requirement in requirements]
    return [
        f"{requirement}: {versions}"
        for requirement, versions in found
        if not versions or not all(map(requirement.specifier.contains, versions))
    ]


def _needed(asked_for: Iterable[Requirement]) -> set[str]:
    """Return the packages that these requirements bring in on this machine, as the installed ones say."""
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in asked_for]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for chosen in ("", *requirement.extras):
            entry = (canonicalize_name(requirement.name), chosen)
            if entry not in seen:
                seen.add(entry)
                waiting += [(Requirement(line), chosen) for line in requires(requirement.name) or []]
    return {name for name, _ in seen}


def test_what_the_product_asks_for_is_locked_within_its_range() -> None:
    """Each dependency of pyproject.toml has its pin, and the pin is a version that it allows."""
    assert _out_of_range(_asked_for(), _pins(_locked("requirements.txt"))) == []


def test_the_product_is_installed_with_what_it_needs_and_nothing_else() -> None:
    """The lock holds exactly what the dependencies bring in, so no tool for tests, lint or types."""
    here = {
        canonicalize_name(requirement.name)
        for requirement in _locked("requirements.txt")
        if requirement.marker is None or requirement.marker.evaluate()
    }

    assert sorted(_needed(_asked_for()) ^ here) == []
    assert here.isdisjoint({"pytest", "playwright", "ruff", "pyright", "uv"})


def test_the_tests_run_what_the_product_installs() -> None:
    """Both locks pin a package alike; the longer one adds what the tools bring in, each within its range."""
    runtime, everything = _pins(_locked("requirements.txt")), _pins(_locked("requirements-dev.txt"))

    assert {name: versions for name, versions in runtime.items() if everything.get(name) != versions} == {}
    assert _out_of_range(_asked_for("dev"), everything) == []


def test_make_install_takes_the_lock_by_hash_and_nothing_beside() -> None:
    """One installation in the recipe, and pip refuses what has no hash."""
    recipe = re.search(r"(?m)^\.venv/\.runtime: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"))

    assert recipe is not None
    installed = re.findall(r"pip install (.*)", recipe[1])
    assert [re.sub(r"--(quiet|disable-pip-version-check) ", "", line) for line in installed] == [
        "--require-hashes -r requirements.txt"
    ]
