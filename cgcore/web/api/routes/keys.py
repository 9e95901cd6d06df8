"""The caller's own key: pair, roll, revoke."""

from __future__ import annotations

from fastapi import Request, Response

from cgcore.web.api.middleware import PAIRING_PATH
from cgcore.web.api.objects import NewKey, Pairing, RolledKey
from cgcore.web.api.routes.base import Bench, build_router, problems
from cgcore.web.api.scopes import IP_KEY, Writer

__all__ = ["router"]

router = build_router()


@router.post(PAIRING_PATH, status_code=201, responses=problems(413, 415))
def pair_device(workbench: Bench, request: Request, pairing: Pairing) -> NewKey:
    """Exchange the code of a QR for a key of the device's own; needs no key."""
    issued = workbench.keys.pair_finish(pairing.code, pairing.device, ip=request.scope[IP_KEY])
    return NewKey(key=issued.key.reveal(), id=issued.id)


@router.post("/api-key/roll", status_code=201)
def roll_key(workbench: Bench, actor: Writer) -> RolledKey:
    """Replace the calling key; it is heard until the new one is first used, a day at most."""
    issued = workbench.keys.roll_own(actor)
    assert issued.old_expires is not None  # noqa: S101 (a rolled key replaces one)
    return RolledKey(key=issued.key.reveal(), id=issued.id, old_expires=issued.old_expires)


@router.delete("/api-key", status_code=204)
def revoke_key(workbench: Bench, actor: Writer) -> Response:
    """Revoke the calling key, at once."""
    workbench.keys.revoke(actor, actor.key_id)
    return Response(status_code=204)
