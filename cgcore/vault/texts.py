"""Where secrets live, and why one cannot be kept: the codes and values of what is said about it.

Apart from the vault itself, which knows codes alone: page, gate, start and command line say it with one choice of keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from cgcore.settings import Settings
from cgcore.texts import Text, lookup, text
from cgcore.vault.master_key import find_key_path
from cgcore.vault.selection import PlaceKind, VaultPlace

__all__ = ["VaultText", "place_text", "problem_text"]

_FILE = "cgcore.vault"


@dataclass(frozen=True, slots=True)
class VaultText:
    """A title, a sentence or two, and what to do; ``None`` where nothing more is known, or nothing is to be done.

    As a string it is all of it in a row.
    """

    title: Text
    detail: Text | None = None
    fix: Text | None = None

    def __str__(self) -> str:
        """Return title, detail and fix in the language of the person, each with its full stop."""
        told = [str(part) for part in (self.title, self.detail, self.fix) if part is not None]
        return " ".join(sentence if sentence.endswith(".") else f"{sentence}." for sentence in told)


def place_text(place: VaultPlace, settings: Settings) -> VaultText:
    """Return what page and command line say about where secrets live."""
    blocked = problem_text(place.reason) if place.kind is PlaceKind.BLOCKED else None
    why = f"why_{place.reason}"
    detail = text(
        _FILE,
        f"place_{place.kind}_detail",
        name=place.name,
        location=place.location,
        key_place=str(find_key_path(settings) or "") or text(_FILE, "key_place_environment"),
        why=blocked.title if blocked else text(_FILE, why) if why in lookup(_FILE, "") else None,
    )
    return VaultText(text(_FILE, f"place_{place.kind}_title"), detail, blocked.fix if blocked else None)


def problem_text(code: str) -> VaultText:
    """Return what a :class:`cgcore.errors.VaultError` with this code means, and what to do where something is."""
    known = lookup(_FILE, "")
    if f"{code}_title" not in known and f"why_{code}" in known:
        return VaultText(text(_FILE, f"why_{code}"))
    key = code if f"{code}_title" in known else "vault"
    return VaultText(text(_FILE, f"{key}_title"), fix=text(_FILE, f"{key}_fix"))
