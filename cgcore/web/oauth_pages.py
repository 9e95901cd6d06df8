"""The way to an OAuth2 provider and back, behind the gate: ``/oauth/ir/…``, ``/oauth/vuelta/…``, ``/oauth/fin/…``.

Each answer is a redirect, or a page of the kind of the log-in pages; no code, state or token stands in an address that
stays (RFC 9700, 4.2.4). Apart from the log-in pages: nobody gets here without a log-in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cgcore.errors import NotFound
from cgcore.texts import sentence
from cgcore.web.html import Page
from cgcore.web.login_pages import show
from cgcore.web.origins import AllowedOrigins
from cgcore.web.paths import AFTER_CONNECTING, MAIL_ACCOUNT, OAUTH_END, find_consent
from cgcore.web.tabs import find_requester

if TYPE_CHECKING:
    from cgcore.identity.actor import Actor
    from cgcore.workbench import Workbench
    from cgcore.workbench.oauth.attempts import Attempt

__all__ = ["OAuthPages", "own_address"]

_HERE = "cgcore.web"
_NOTHING, _CONSENTED, _REFUSED = "-", "consent", "no-consent"
_MAX_PART = 8192


def own_address(request: Request, origins: AllowedOrigins) -> str:
    """Return where the browser reaches us: the public address, else its loopback name with the port that listens.

    The Host header was judged by the gate: without a public address it is a name of this machine.
    """
    if origins.public_url:
        return origins.public_url
    host = request.url.hostname or "localhost"
    _, port = request.scope.get("server") or ("", None)
    shown = f"[{host}]" if ":" in host else host
    return f"{request.url.scheme}://{shown}:{port or request.url.port or 80}"


class OAuthPages:
    """The three addresses. What blocks runs in a thread."""

    def __init__(self, get_workbench: Callable[[], Workbench], origins: AllowedOrigins) -> None:
        self._get_workbench, self._origins = get_workbench, origins

    async def leave(self, request: Request) -> Response:
        """Send the browser to the provider."""
        base = own_address(request, self._origins)
        actor = await self._find_actor(request)
        if actor is None:
            return RedirectResponse(AFTER_CONNECTING, 303)
        attempts = self._get_workbench().oauth.attempts
        try:
            target = await to_thread.run_sync(partial(attempts.leave, actor, request.path_params["attempt"], base))
        except NotFound:
            return _end(_NOTHING)
        return RedirectResponse(target, 303) if isinstance(target, str) else _end(target.id)

    async def come_back(self, request: Request) -> Response:
        """Take what the provider has answered, and send the browser on to an address without it."""
        from cgcore.mail.oauth_client import OAuthProvider  # not needed for the routes, which every start makes

        actor = await self._find_actor(request)
        if actor is None:
            return RedirectResponse(AFTER_CONNECTING, 303)
        if (has_agreed := find_consent(request.query_params)) is not None:
            # Whoever administers the tenant at Microsoft was asked for everybody: nobody is connected by it.
            return _end(_CONSENTED if has_agreed else _REFUSED)
        attempts = self._get_workbench().oauth.attempts
        answer = {name: value[:_MAX_PART] for name, value in request.query_params.items()}
        try:
            provider = OAuthProvider(request.path_params["provider"])
            attempt = await to_thread.run_sync(partial(attempts.come_back, actor, provider, answer))
        except (NotFound, ValueError):
            return _end(_NOTHING)
        return _end(attempt.id)

    async def show_end(self, request: Request) -> Response:
        """Say what became of an attempt, and lead back to the account."""
        actor = await self._find_actor(request)
        if actor is None:
            return RedirectResponse(AFTER_CONNECTING, 303)
        if request.path_params["attempt"] == _CONSENTED:
            return show(Page(sentence(_HERE, "oauth_title"), notice=sentence(_HERE, "oauth_consented")), 200)
        if request.path_params["attempt"] == _REFUSED:
            return show(Page(sentence(_HERE, "oauth_title"), alert=sentence(_HERE, "oauth_not_consented")), 200)
        attempts = self._get_workbench().oauth.attempts
        attempt = await to_thread.run_sync(partial(attempts.find, actor, request.path_params["attempt"]))
        return show(_describe(attempt), 404 if attempt is None else 200)

    async def _find_actor(self, request: Request) -> Actor | None:
        requester = find_requester(request.scope)
        if requester is None:
            return None
        sessions = self._get_workbench().identity.sessions
        return await to_thread.run_sync(partial(sessions.find_actor, requester.session_hash))


def _end(attempt_id: str) -> Response:
    return RedirectResponse(f"{OAUTH_END}{attempt_id}", 303)


def _describe(attempt: Attempt | None) -> Page:
    link = (MAIL_ACCOUNT, sentence(_HERE, "oauth_back"))
    title = sentence(_HERE, "oauth_title")
    if attempt is None:
        return Page(title, alert=sentence(_HERE, "oauth_unknown"), link=link)
    values = {"address": attempt.address, "mailbox": attempt.mailbox}
    if attempt.state in _NOTICES:
        return Page(title, notice=sentence(_HERE, _NOTICES[attempt.state], **values), link=link)
    if attempt.state in ("expired", "cancelled"):
        return Page(title, alert=sentence(_HERE, "oauth_too_late"), link=link)
    return Page(title, alert=_refusal(attempt), link=link)


_NOTICES = {
    "connected": "oauth_connected",
    "other_address": "oauth_other_address",
    "checking": "oauth_checking",
    "open": "oauth_open",
}


def _refusal(attempt: Attempt) -> str:
    from cgcore.mail.diagnosis.texts import sentences
    from cgcore.mail.steps import Leg

    try:
        return " ".join(
            filter(None, (f"{part.rstrip('.')}." for part in sentences(attempt.key, Leg.SMTP, attempt.facts)))
        )
    except KeyError:
        return sentence(_HERE, "oauth_broken")
