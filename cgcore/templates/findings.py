"""Turns what was found in a text into checks and into values to put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cgcore.templates.checks import Check, Code, Field, build_check
from cgcore.templates.scanning import Found, Kind
from cgcore.templates.variables import is_known, suggest_variable

__all__ = ["CHECKS_AT_MOST", "Findings", "Use"]

# More of the same would only make the answer long.
CHECKS_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a variable's value goes; an empty value is said there."""

    field: Field
    position: int
    name: str
    written: str


@dataclass(slots=True)
class Findings:
    """The checks of one field, and the uses of variables in it, for one document type.

    ``names`` are the values of the type's variables that rendering knows: what is not among them stays as written.
    """

    where: Field
    names: Mapping[str, str]
    checks: list[Check] = field(default_factory=list[Check])
    uses: list[Use] = field(default_factory=list[Use])

    def add(self, code: Code, **details: object) -> None:
        """Note a check, unless there are already more than anybody reads."""
        if len(self.checks) < CHECKS_AT_MOST:
            self.checks.append(build_check(code, self.where, **details))  # pyright: ignore[reportArgumentType]

    def take(self, found: Sequence[Found], offset: int, *, place: int | None = None) -> list[Found]:
        """Return those that get a value, and note what is wrong with the others.

        Their position is ``offset`` plus their start, or ``place`` for what is not in the joined text.
        """
        return [item for item in found if self._accept(item, item.start + offset if place is None else place)]

    def _accept(self, found: Found, position: int) -> bool:
        if found.kind is Kind.WRONG_BRACES:
            self.wrong_braces(found, position)
        elif found.name in self.names:
            self.uses.append(Use(self.where, position, found.name, found.written))
            return True
        elif is_known(found.name):
            text = "variable_not_for_every_type" if self.where is Field.SIGNATURE else ""
            self.add(Code.VARIABLE_NOT_FOR_TYPE, position=position, variable=found.name, shown=found.written, text=text)
        else:
            meant = suggest_variable(found.written) if len(self.checks) < CHECKS_AT_MOST else None
            self.add(
                Code.UNKNOWN_VARIABLE, position=position, variable=found.name, suggestion=meant, shown=found.written
            )
        return False

    def wrong_braces(self, found: Found, position: int, *, text: str = "") -> None:
        """Note a variable written with the wrong marks; ``text`` names another sentence than the usual one."""
        self.add(
            Code.WRONG_BRACES,
            position=position,
            variable=" ".join(found.name.split()),
            suggestion=found.suggestion,
            shown=" ".join(found.written.split()),
            text=text,
        )
