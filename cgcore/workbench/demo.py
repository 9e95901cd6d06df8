"""The demonstration data: a company, its series, one administrator whose mail goes to the test mailbox.

Apart from the command that calls it: only the facade writes rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgcore.company.company import CompanyDraft
from cgcore.errors import NotFound
from cgcore.identity.actor import Actor, Role
from cgcore.series.starters import StarterLayout
from cgcore.vault.secret import Secret
from cgcore.workbench.identity import NewUser

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["DEMO_USER", "seed_demo"]

DEMO_USER = "ana"
_FULL_NAME = "Ana Tosma"
_MAIL = "facturas@electricidadtosma.es"
_COMPANY = CompanyDraft(
    name="Electricidad Tosma, SL",
    tax_id="B04123451",
    address="Calle de la Luz, 12\n04001 Almería",
)


def seed_demo(workbench: Workbench, password: Secret) -> str:
    """Fill an empty installation, give the demonstration user ``password`` for this run, and return its name.

    What a visitor changed in an earlier run is kept: only what is missing is seeded.
    """
    operator = Actor(user_id=0, username="", role=Role.ADMIN)
    is_new = workbench.identity.accounts.first_use_needed()
    try:
        workbench.identity.accounts.set_password(operator, DEMO_USER, password)
    except NotFound:
        draft = NewUser(DEMO_USER, password, full_name=_FULL_NAME, mail=_MAIL, role=Role.ADMIN)
        user_id = workbench.identity.accounts.add_user(operator, draft)
        actor = Actor(user_id=user_id, username=DEMO_USER, full_name=_FULL_NAME, mail=_MAIL, role=Role.ADMIN)
        if is_new:
            _seed_house(workbench, actor)
        _seed_account(workbench, actor)
    return DEMO_USER


def _seed_house(workbench: Workbench, actor: Actor) -> None:
    workbench.company.save(actor, _COMPANY, version=workbench.company.get(actor).version)
    workbench.series.create_starter_set(actor, StarterLayout.PER_DOCUMENT)


def _seed_account(workbench: Workbench, actor: Actor) -> None:
    if workbench.settings.sandbox_on:
        workbench.mail_account.save(actor, workbench.sandbox.use_for(actor), version=0)
