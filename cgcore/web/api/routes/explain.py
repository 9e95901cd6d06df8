"""A server's reply, explained."""

from __future__ import annotations

from cgcore.identity.actor import Scope
from cgcore.mail.diagnosis.pasted import explain_pasted
from cgcore.web.api.objects import Explain, Explanation
from cgcore.web.api.routes.base import build_router, problems
from cgcore.web.api.scopes import needs

__all__ = ["router"]

router = build_router()


@router.post("/explain", dependencies=[needs(Scope.READ)], responses=problems(413, 415))
def explain_reply(reply: Explain) -> Explanation:
    """The diagnosis of a reply, a bounce or a log: its key, what it means, what to do."""
    found = explain_pasted(reply.text, protocol=reply.protocol, stage=reply.stage, provider=reply.provider)
    return Explanation(key=found.key, title=found.title, fix=found.fix)
