"""What a route asks of its caller: declared beside the route, checked before its handler."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from cgcore.identity.actor import Actor, Scope
from cgcore.web.api.handlers import too_many_requests
from cgcore.web.api.problems import ApiProblem, ProblemCode

__all__ = [
    "ACTOR_KEY",
    "ALLOWANCE_KEY",
    "COSTS",
    "IP_KEY",
    "PAIRING_COST",
    "Allowance",
    "MessagePoster",
    "MessageReader",
    "Reader",
    "Sender",
    "Writer",
    "declared_scope",
    "needs",
]

# A read is one; a probe opens connections to other servers, and must not become a port scanner.
COSTS = {Scope.READ: 1, Scope.WRITE: 5, Scope.SEND: 50}

# Counted by source address, for there is no key yet.
PAIRING_COST = 50

_MOST_CALLERS = 10_000


@dataclass(slots=True)
class _Bucket:
    level: float
    filled: float


class Allowance:
    """Token buckets: ``capacity`` at once, ``per_second`` afterwards. Used by the event loop only."""

    def __init__(
        self, *, capacity: int = 1000, per_second: float = 100.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity, self._per_second, self._now = capacity, per_second, now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, cost: int) -> float:
        """Take ``cost`` from the caller's bucket; return 0, or the seconds to wait when it does not hold that much."""
        now = self._now()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(self._capacity, now)
            if len(self._buckets) > _MOST_CALLERS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller)
        bucket.level = min(self._capacity, bucket.level + (now - bucket.filled) * self._per_second)
        bucket.filled = now
        if bucket.level < cost:
            return (cost - bucket.level) / self._per_second
        bucket.level -= cost
        return 0.0


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
    every = [*_CHECKS.items(), *((Scope.SEND, check) for check in _MESSAGE_CHECKS)]
    return next((scope for scope, check in every if check in declared), None)


def _build_check(scope: Scope, cost: int) -> Callable[[Request], Awaitable[Actor]]:
    async def check(request: Request) -> Actor:
        actor: Actor = request.scope[ACTOR_KEY]
        if scope not in actor.scopes:
            raise ApiProblem(ProblemCode.SCOPE_MISSING, scope=scope.value)
        allowance: Allowance = request.scope[ALLOWANCE_KEY]
        if wait := allowance.take(actor.key_id, cost):
            raise too_many_requests(wait)
        return actor

    return check


_CHECKS = {scope: _build_check(scope, COSTS[scope]) for scope in Scope}
# A message opens no connection in the request, so it costs less than a probe; to read one costs as any read.
_MESSAGE_CHECKS = (_build_check(Scope.SEND, 10), _build_check(Scope.SEND, 1))

# Who calls, with the scope that the route needs: a handler's parameter of such a type is its declaration.
Reader = Annotated[Actor, needs(Scope.READ)]
Writer = Annotated[Actor, needs(Scope.WRITE)]
Sender = Annotated[Actor, needs(Scope.SEND)]
MessagePoster = Annotated[Actor, Depends(_MESSAGE_CHECKS[0])]
MessageReader = Annotated[Actor, Depends(_MESSAGE_CHECKS[1])]
