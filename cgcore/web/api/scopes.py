"""What a route asks of its caller: declared beside the route, checked before its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from cgcore.identity.actor import Actor, Scope
from cgcore.web.api.allowance import COSTS, Allowance
from cgcore.web.api.handlers import too_many_requests
from cgcore.web.api.problems import ApiProblem, ProblemCode

__all__ = ["ACTOR_KEY", "ALLOWANCE_KEY", "IP_KEY", "Reader", "Sender", "Writer", "declared_scope", "needs"]

# Where the front door leaves what it found, in the ASGI scope.
ACTOR_KEY = "cloud_gestion.actor"
ALLOWANCE_KEY = "cloud_gestion.allowance"
IP_KEY = "cloud_gestion.ip"


def needs(scope: Scope) -> Any:
    """Return the dependency that lets only keys with ``scope`` pass, counts the call, and gives who calls."""
    return Depends(_CHECKS[scope])


def declared_scope(route: APIRoute) -> Scope | None:
    """Return the scope that a route declares, by its caller's type or in its decorator, or ``None``."""
    declared = {dependant.call for dependant in route.dependant.dependencies}
    return next((scope for scope, check in _CHECKS.items() if check in declared), None)


def _build_check(scope: Scope) -> Callable[[Request], Awaitable[Actor]]:
    async def check(request: Request) -> Actor:
        actor: Actor = request.scope[ACTOR_KEY]
        if scope not in actor.scopes:
            raise ApiProblem(ProblemCode.SCOPE_MISSING, scope=scope.value)
        allowance: Allowance = request.scope[ALLOWANCE_KEY]
        if wait := allowance.take(actor.key_id, COSTS[scope]):
            raise too_many_requests(wait)
        return actor

    return check


_CHECKS = {scope: _build_check(scope) for scope in Scope}

# Who calls, with the scope that the route needs: a handler's parameter of such a type is its declaration.
Reader = Annotated[Actor, needs(Scope.READ)]
Writer = Annotated[Actor, needs(Scope.WRITE)]
Sender = Annotated[Actor, needs(Scope.SEND)]
