"""A furnished house for tests: users straight into the database, and series by the use cases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import select

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.series.series import Series, SeriesDraft, SeriesKind
from cgcore.settings import Settings, load_settings
from cgcore.storage.tables import UserRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.identity import NewUser
from tests.servers.product import PASSWORD, Product

__all__ = ["Furnished", "add_login", "add_series", "add_user", "furnish", "open_beside"]


def add_user(workbench: Workbench, name: str, role: Role = Role.USER) -> Actor:
    """Add a user who has no password, and return them as the one who acts."""
    with workbench.database.session() as session:
        session.add(UserRow(username=name, username_key=name.casefold(), full_name=name.title(), role=role.value))
    with workbench.database.session() as session:
        row = session.exec(select(UserRow).where(UserRow.username_key == name.casefold())).one()
    return Actor(row.id or 0, name, row.full_name, role=role, ip="192.0.2.7")


def add_series(
    workbench: Workbench,
    admin: Actor,
    code: str,
    *types: DocumentType,
    kind: SeriesKind = SeriesKind.ORDINARY,
    active: bool = True,
    number: int = 1,
) -> Series:
    """Add a series that serves ``types``, each counter at ``number``."""
    return workbench.series.add(admin, SeriesDraft(code, "", kind, active, dict.fromkeys(types, number)))


@dataclass(frozen=True)
class Furnished:
    """An installation in a folder, with its people; all have the same password."""

    folder: Path
    admin: Actor
    user: Actor
    password: str

    @contextmanager
    def workbench(self) -> Iterator[Workbench]:
        """Open a workbench over it, also beside a running product."""
        workbench = open_workbench(_settings(self.folder))
        try:
            yield workbench
        finally:
            workbench.close()


def furnish(folder: Path, *, password: str = PASSWORD) -> Furnished:
    """Make an installation as :func:`tests.servers.product.product_environment` finds it: a company and two people."""
    workbench = open_workbench(_settings(folder))
    root = Actor(0, "", role=Role.ADMIN)
    people: list[Actor] = []
    for name, role in (("ana", Role.ADMIN), ("luis", Role.USER)):
        draft = NewUser(name, Secret(password), f"{name.title()} Tosma", f"{name}@tosma.es", role)
        people.append(Actor(workbench.identity.accounts.add_user(root, draft), name, role=role))
    workbench.company.save(root, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    workbench.close()
    return Furnished(folder, people[0], people[1], password)


@contextmanager
def open_beside(product: Product) -> Iterator[Workbench]:
    """Open a workbench over the data of a running product, as a second tab or another process would."""
    workbench = open_workbench(_settings(product.folder))
    try:
        yield workbench
    finally:
        workbench.close()


def add_login(product: Product, full_name: str = "") -> str:
    """Add a user with the usual password to a running product, and return the name, which nobody had before."""
    name = "u" + secrets.token_hex(4)
    with open_beside(product) as workbench:
        root = Actor(0, "", role=Role.ADMIN)
        workbench.identity.accounts.add_user(root, NewUser(name, Secret(PASSWORD), full_name, "", Role.USER))
    return name


def _settings(folder: Path) -> Settings:
    return load_settings(data_dir=folder / "data", config_dir=folder / "config")
