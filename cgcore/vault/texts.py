"""The Spanish sentences of the vault: where secrets live, and why one cannot be kept."""

from __future__ import annotations

from dataclasses import dataclass

from cgcore.settings import Settings
from cgcore.texts import lookup, sentence
from cgcore.vault.master_key import find_key_path
from cgcore.vault.selection import PlaceKind, VaultPlace

__all__ = ["VaultText", "place_text", "problem_text"]

_PACKAGE = "cgcore.vault"


@dataclass(frozen=True, slots=True)
class VaultText:
    """A title, one or more sentences, and what to do; the last is empty where nothing is to be done."""

    title: str
    detail: str = ""
    fix: str = ""


def place_text(place: VaultPlace, settings: Settings) -> VaultText:
    """Return what page, API and command line say about where secrets live."""
    title = sentence(_PACKAGE, f"place_{place.kind}_title")
    detail = sentence(
        _PACKAGE,
        f"place_{place.kind}_detail",
        name=place.name,
        location=place.location,
        key_place=find_key_path(settings) or sentence(_PACKAGE, "key_place_environment"),
    )
    if place.kind is PlaceKind.BLOCKED:
        problem = problem_text(place.reason)
        return VaultText(title, f"{detail} {problem.title}", problem.fix)
    why = lookup(_PACKAGE, "").get(f"why_{place.reason}", "")
    return VaultText(title, f"{detail} {why}".rstrip())


def problem_text(code: str) -> VaultText:
    """Return what a :class:`cgcore.errors.VaultError` with this code means, and what to do where something is."""
    texts = lookup(_PACKAGE, "")
    if f"why_{code}" in texts and f"{code}_title" not in texts:
        return VaultText(texts[f"why_{code}"])
    known = code if f"{code}_title" in texts else "vault"
    return VaultText(texts[f"{known}_title"], fix=texts[f"{known}_fix"])
