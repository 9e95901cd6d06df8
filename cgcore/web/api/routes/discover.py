"""The servers of a mail address, proven live."""

from __future__ import annotations

from cgcore.web.api.discovery_objects import Discover, Discovered
from cgcore.web.api.routes.base import Bench, build_router, problems
from cgcore.web.api.scopes import Sender

__all__ = ["router"]

router = build_router()


@router.post("/discover", responses=problems(413, 415))
def discover_mail_servers(workbench: Bench, actor: Sender, wanted: Discover) -> Discovered:
    """What the sources say of the address, what was tried, and the servers that have answered."""
    return Discovered.model_validate(workbench.discovery.discover(actor, wanted.address).to_json())
