"""Who calls."""

from __future__ import annotations

from cgcore.identity.actor import Scope
from cgcore.web.api.objects import Company, Me, User
from cgcore.web.api.routes.base import Bench, build_router
from cgcore.web.api.scopes import Reader

__all__ = ["router"]

router = build_router()


@router.get("/me")
def get_me(workbench: Bench, actor: Reader) -> Me:
    """User, company and scopes."""
    company = workbench.company.get(actor)
    return Me(
        user=User(username=actor.username, full_name=actor.full_name, mail=actor.mail, role=actor.role),
        company=Company(name=company.name, tax_id=company.tax_id, address=company.address),
        scopes=[scope for scope in Scope if scope in actor.scopes],
    )
