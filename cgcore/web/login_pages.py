"""The log-in pages, server-rendered: ``/entrar``, ``/salir``, ``/primer-uso``, ``/nueva-contrasena/<token>``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from cgcore.errors import InvalidInput, NotAllowed, StorageError, Throttled
from cgcore.identity.tokens import hash_token
from cgcore.texts import sentence
from cgcore.vault.secret import Secret
from cgcore.web.html import Field, Page, render_page
from cgcore.web.origins import AllowedOrigins, read_headers
from cgcore.web.paths import AFTER_END, ENTER, FIRST_USE, LEAVE, LOGIN_NOTICES, NEW_PASSWORD, safe_next
from cgcore.web.tabs import TABS_PER_USER

if TYPE_CHECKING:
    from cgcore.workbench import Workbench
    from cgcore.workbench.identity import IdentitySection

__all__ = [
    "FirstUsePages",
    "FormPages",
    "LoginPages",
    "NewPasswordPages",
    "build_cookie",
    "build_expired_cookie",
    "read_cookie",
    "say_wait",
    "show",
    "show_away",
    "show_crowded",
    "show_throttled",
]

_HERE = "cgcore.web"

# ``__Host-`` (RFC 6265bis, 4.1.3) needs Secure, which a plain address does not have.
_SECURE_NAME, _PLAIN_NAME = "__Host-cg", "cg_session"


def read_cookie(header: str, *, secure: bool) -> Secret:
    """Return the token of a Cookie header, empty when there is none. A plain cookie does not count under TLS."""
    name = _SECURE_NAME if secure else _PLAIN_NAME
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return Secret(value)
    return Secret("")


def build_cookie(token: Secret, *, secure: bool) -> str:
    """Return the Set-Cookie value: no script reads it, no foreign form sends it, closing the browser drops it."""
    name = _SECURE_NAME if secure else _PLAIN_NAME
    return f"{name}={token.reveal()}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def build_expired_cookie(*, secure: bool) -> str:
    """Return the Set-Cookie value that takes the cookie away."""
    return build_cookie(Secret(""), secure=secure) + "; Max-Age=0"


Answer = TypeVar("Answer")

_MAX_BODY = 16 * 1024
_MAX_FIELDS = 20
# Each password check takes 19 MiB and a processor for 20 ms; a crowd of them waits in line.
_CHECKS_AT_ONCE = 4
_AWAY_S = 5


class FormPages:
    """The ground of the log-in pages."""

    def __init__(self, get_workbench: Callable[[], Workbench], origins: AllowedOrigins) -> None:
        self._get_workbench = get_workbench
        self._origins = origins

    @property
    def _identity(self) -> IdentitySection:
        return self._get_workbench().identity

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(_CHECKS_AT_ONCE)

    async def _call(self, use_case: Callable[[], Answer]) -> Answer:
        return await to_thread.run_sync(use_case, limiter=self._limiter)

    async def _read_form(self, request: Request) -> dict[str, str] | Response:
        """Return the fields of a form, or the refusal of one that is no form of ours."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                return PlainTextResponse(sentence(_HERE, "form_too_big"), 413)
        try:
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except ValueError:
            return PlainTextResponse(sentence(_HERE, "form_too_big"), 413)

    def _find_token(self, request: Request) -> Secret:
        return read_cookie(request.headers.get("cookie", ""), secure=self._is_secure(request))

    def _find_ip(self, request: Request) -> str:
        return self._origins.find_client_ip(request.scope, read_headers(request.scope))

    def _is_secure(self, request: Request) -> bool:
        return self._origins.is_secure(request.scope, read_headers(request.scope))

    def _let_in(self, request: Request, token: Secret, target: str) -> Response:
        response = RedirectResponse(target, 303)
        response.headers.append("set-cookie", build_cookie(token, secure=self._is_secure(request)))
        return response

    def _show_out(self, request: Request, target: str) -> Response:
        response = RedirectResponse(target, 303)
        response.headers.append("set-cookie", build_expired_cookie(secure=self._is_secure(request)))
        return response


def show(page: Page, status: int = 200) -> Response:
    """Return the page as a response."""
    return HTMLResponse(render_page(page), status)


def show_throttled(page: Page, refused: Throttled) -> Response:
    """Return the page with the wait in it: 429 and ``Retry-After`` in whole seconds (RFC 9110, 10.2.3)."""
    response = show(page, 429)
    response.headers["retry-after"] = str(_whole_seconds(refused))
    return response


def show_away(page: Callable[[str], Page], failure: StorageError) -> Response:
    """Return the page with what the database fails with, nothing typed lost: 503 and ``Retry-After``."""
    response = show(page(sentence("cgcore.storage", failure.code)), 503)
    response.headers["retry-after"] = str(math.ceil(getattr(failure, "retry_after", _AWAY_S)))
    return response


def say_wait(refused: Throttled) -> str:
    """Return the sentence that says how long to wait."""
    seconds = _whole_seconds(refused)
    return sentence(_HERE, "enter_wait", seconds=seconds)


def _whole_seconds(refused: Throttled) -> int:
    """Return the wait in seconds, rounded up: who comes back then is heard."""
    return max(1, math.ceil(refused.retry_after))


class LoginPages(FormPages):
    """The two pages through which one comes and goes."""

    async def show_enter(self, request: Request) -> Response:
        """Show the form; who is in already goes on, and where nobody exists yet, to the first use."""
        target = safe_next(request.query_params.get("next", ""))
        if target == "/" and request.query_params.get("aviso") == "fin":
            target = _page_before(request)
        token = self._find_token(request)
        if await self._call(lambda: self._identity.sessions.find_actor_by_cookie(token)) is not None:
            return RedirectResponse(target, 303)
        if await self._call(self._identity.accounts.first_use_needed):
            return RedirectResponse(FIRST_USE, 303)
        notice = LOGIN_NOTICES.get(request.query_params.get("aviso", ""), "")
        return show(_enter_page(target, notice=sentence(_HERE, notice) if notice else ""))

    async def enter(self, request: Request) -> Response:
        """Log in: 303 to ``next``, or the page with 401, or 429 with ``Retry-After``."""
        form = await self._read_form(request)
        if isinstance(form, Response):
            return form
        username, password = form.get("username", "").strip(), Secret(form.get("password", ""))
        target = safe_next(form.get("next", ""))
        if not username:
            return show(_enter_page(target, username_error=sentence(_HERE, "enter_missing_username")), 401)
        if not password:
            return show(_enter_page(target, username, password_error=sentence(_HERE, "enter_missing_password")), 401)
        previous, ip = self._find_token(request), self._find_ip(request)
        user_agent = request.headers.get("user-agent", "")
        try:
            result = await self._call(
                lambda: self._identity.sessions.log_in(
                    username, password, ip=ip, user_agent=user_agent, previous=previous
                )
            )
        except Throttled as refused:
            return show_throttled(_enter_page(target, username, alert=say_wait(refused)), refused)
        except StorageError as failure:
            return show_away(lambda alert: _enter_page(target, username, alert=alert), failure)
        except NotAllowed:
            return show(_enter_page(target, username, password_error=sentence(_HERE, "enter_wrong")), 401)
        return self._let_in(request, result.token, target)

    async def show_leave(self, request: Request) -> Response:
        """Log out when a link of ours was followed; ask first when something else brought the browser here.

        An image in a page can ask for this address too: only a navigation counts.
        """
        headers = request.headers
        is_click = headers.get("sec-fetch-site") == "same-origin" and headers.get("sec-fetch-dest") in {
            None,
            "document",
        }
        if is_click and "prefetch" not in headers.get("sec-purpose", ""):
            return await self.leave(request)
        button, back = sentence(_HERE, "leave_button"), ("/", sentence(_HERE, "leave_back"))
        return show(
            Page(sentence(_HERE, "leave_title"), sentence(_HERE, "leave_intro"), action=LEAVE, button=button, link=back)
        )

    async def leave(self, request: Request) -> Response:
        """Log out: end the log-in in every tab and take the cookie away."""
        token = self._find_token(request)
        await self._call(lambda: self._identity.sessions.log_out(hash_token(token)))
        # The open tabs, this one among them, are sent to the same address: whichever comes first, it says the same.
        return self._show_out(request, AFTER_END)


async def show_crowded(_request: Request) -> Response:
    """Say that this tab is one too many; the others go on."""
    link = ("/", sentence(_HERE, "crowded_back"))
    return show(
        Page(sentence(_HERE, "crowded_title"), sentence(_HERE, "crowded_intro", count=TABS_PER_USER), link=link), 429
    )


def _page_before(request: Request) -> str:
    """Return the page of ours from which a log-in that ended has sent the browser here, ``/`` where it tells none."""
    try:
        before = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/"
    if before.netloc != request.headers.get("host", ""):
        return "/"
    return safe_next(before.path + (f"?{before.query}" if before.query else ""))


def _enter_page(
    target: str,
    username: str = "",
    *,
    username_error: str = "",
    password_error: str = "",
    alert: str = "",
    notice: str = "",
) -> Page:
    return Page(
        sentence(_HERE, "enter_title"),
        "" if notice or alert else sentence(_HERE, "enter_intro"),
        notice=notice,
        alert=alert,
        action=ENTER,
        button=sentence(_HERE, "enter_button"),
        fields=(
            Field("username", sentence(_HERE, "enter_username"), "username", value=username, error=username_error),
            Field(
                "password", sentence(_HERE, "enter_password"), "current-password", kind="password", error=password_error
            ),
        ),
        hidden=(("next", target),),
    )


class FirstUsePages(FormPages):
    """The page of the first use. ``renew_code`` prints a new code on the console when the earlier one has expired."""

    def __init__(
        self, get_workbench: Callable[[], Workbench], origins: AllowedOrigins, *, renew_code: Callable[[], None]
    ) -> None:
        super().__init__(get_workbench, origins)
        self._renew_code = renew_code

    async def show_form(self, _request: Request) -> Response:
        """Show the form, or the log-in page when there is a user."""
        if not await self._call(self._identity.accounts.first_use_needed):
            return RedirectResponse(ENTER, 303)
        await self._call(self._renew_code)
        return show(_page("", "", {}))

    async def create(self, request: Request) -> Response:
        """Create the administrator and let them in: 303, or the page with 401, 422 or 429."""
        form = await self._read_form(request)
        if isinstance(form, Response):
            return form
        code, username = form.get("code", ""), form.get("username", "").strip()
        ip, user_agent = self._find_ip(request), request.headers.get("user-agent", "")
        password = Secret(form.get("password", ""))
        try:
            result = await self._call(
                lambda: self._identity.accounts.first_use(
                    Secret(code), username, password, ip=ip, user_agent=user_agent
                )
            )
        except Throttled as refused:
            return show_throttled(_page(code, username, {}, alert=say_wait(refused)), refused)
        except StorageError as failure:
            return show_away(lambda alert: _page(code, username, {}, alert=alert), failure)
        except InvalidInput as refused:
            errors = {problem.field: problem.message for problem in refused.problems}
            return show(_page(code, username, errors), 422)
        except NotAllowed as refused:
            if refused.code == "first_use_done":
                return RedirectResponse(ENTER, 303)
            return show(_page(code, username, {"code": sentence(_HERE, "first_use_code_wrong")}), 401)
        return self._let_in(request, result.token, "/")


def _page(code: str, username: str, errors: Mapping[str, str], *, alert: str = "") -> Page:
    return Page(
        sentence(_HERE, "first_use_title"),
        sentence(_HERE, "first_use_intro"),
        alert=alert,
        action=FIRST_USE,
        button=sentence(_HERE, "enter_button"),
        fields=(
            Field(
                "code",
                sentence(_HERE, "first_use_code"),
                "one-time-code",
                value=code,
                hint=sentence(_HERE, "first_use_code_hint"),
                error=errors.get("code", ""),
            ),
            Field(
                "username",
                sentence(_HERE, "enter_username"),
                "username",
                value=username,
                error=errors.get("username", ""),
            ),
            Field(
                "password",
                sentence(_HERE, "enter_password"),
                "new-password",
                kind="password",
                hint=sentence(_HERE, "first_use_password_hint"),
                error=errors.get("password", ""),
            ),
        ),
    )


class NewPasswordPages(FormPages):
    """The page behind the link. Looking at it does not use it up."""

    async def show_form(self, request: Request) -> Response:
        """Show the form, or that the link is dead (410)."""
        token = request.path_params["token"]
        username = await self._call(lambda: self._identity.accounts.find_reset_username(Secret(token)))
        return show(_dead_page(), 410) if username is None else show(_new_password_page(token, username))

    async def save(self, request: Request) -> Response:
        """Store the password: 303 to the log-in page, or the page with 422, or 410."""
        form = await self._read_form(request)
        if isinstance(form, Response):
            return form
        token, password, ip = request.path_params["token"], Secret(form.get("password", "")), self._find_ip(request)
        username = await self._call(lambda: self._identity.accounts.find_reset_username(Secret(token)))
        try:
            await self._call(lambda: self._identity.accounts.reset_password(Secret(token), password, ip=ip))
        except InvalidInput as refused:
            return show(_new_password_page(token, username or "", refused.problems[0].message), 422)
        except NotAllowed:
            return show(_dead_page(), 410)
        return RedirectResponse(f"{ENTER}?aviso=clave", 303)


def _new_password_page(token: str, username: str, error: str = "") -> Page:
    password = Field(
        "password",
        sentence(_HERE, "new_password_password"),
        "new-password",
        kind="password",
        hint=sentence(_HERE, "first_use_password_hint"),
        error=error,
    )
    return Page(
        sentence(_HERE, "new_password_title"),
        sentence(_HERE, "new_password_intro", username=username),
        action=NEW_PASSWORD + token,
        button=sentence(_HERE, "new_password_button"),
        fields=(password,),
    )


def _dead_page() -> Page:
    back = (ENTER, sentence(_HERE, "new_password_back"))
    return Page(sentence(_HERE, "new_password_dead_title"), sentence(_HERE, "new_password_dead_intro"), link=back)
