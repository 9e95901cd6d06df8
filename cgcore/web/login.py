"""Log in and log out: ``/entrar`` and ``/salir``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cgcore.errors import NotAllowed, StorageError, Throttled
from cgcore.identity.tokens import hash_token
from cgcore.vault.secret import Secret
from cgcore.web.forms import FormPages, say_wait, show, show_away, show_throttled
from cgcore.web.html import Field, Page
from cgcore.web.paths import AFTER_END, ENTER, FIRST_USE, LEAVE, safe_next
from cgcore.web.texts import text

__all__ = ["LoginPages"]

# What ``/entrar?aviso=…`` may say; anything else says nothing.
_NOTICES = {"clave": "enter_password_saved", "fin": "enter_session_ended"}


class LoginPages(FormPages):
    """The two pages through which one comes and goes."""

    async def show_enter(self, request: Request) -> Response:
        """Show the form; who is in already goes on, and where nobody exists yet, to the first use."""
        target = safe_next(request.query_params.get("next", ""))
        token = self._find_token(request)
        if await self._call(lambda: self._identity.find_actor_by_cookie(token)) is not None:
            return RedirectResponse(target, 303)
        if await self._call(self._identity.first_use_needed):
            return RedirectResponse(FIRST_USE, 303)
        notice = _NOTICES.get(request.query_params.get("aviso", ""), "")
        return show(_enter_page(target, notice=text(notice) if notice else ""))

    async def enter(self, request: Request) -> Response:
        """Log in: 303 to ``next``, or the page with 401, or 429 with ``Retry-After``."""
        form = await self._read_form(request)
        if isinstance(form, Response):
            return form
        username, password = form.get("username", "").strip(), Secret(form.get("password", ""))
        target = safe_next(form.get("next", ""))
        if not username:
            return show(_enter_page(target, username_error=text("enter_missing_username")), 401)
        if not password:
            return show(_enter_page(target, username, password_error=text("enter_missing_password")), 401)
        previous, ip = self._find_token(request), self._find_ip(request)
        user_agent = request.headers.get("user-agent", "")
        try:
            result = await self._call(
                lambda: self._identity.log_in(username, password, ip=ip, user_agent=user_agent, previous=previous)
            )
        except Throttled as refused:
            return show_throttled(_enter_page(target, username, alert=say_wait(refused)), refused)
        except StorageError as failure:
            return show_away(lambda alert: _enter_page(target, username, alert=alert), failure)
        except NotAllowed:
            return show(_enter_page(target, username, password_error=text("enter_wrong")), 401)
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
        button, back = text("leave_button"), ("/", text("leave_back"))
        return show(Page(text("leave_title"), text("leave_intro"), action=LEAVE, button=button, link=back))

    async def leave(self, request: Request) -> Response:
        """Log out: end the log-in in every tab and take the cookie away."""
        token = self._find_token(request)
        await self._call(lambda: self._identity.log_out(hash_token(token)))
        # The open tabs, this one among them, are sent to the same address: whichever comes first, it says the same.
        return self._show_out(request, AFTER_END)


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
        text("enter_title"),
        "" if notice or alert else text("enter_intro"),
        notice=notice,
        alert=alert,
        action=ENTER,
        button=text("enter_button"),
        fields=(
            Field("username", text("enter_username"), "username", value=username, error=username_error),
            Field("password", text("enter_password"), "current-password", kind="password", error=password_error),
        ),
        hidden=(("next", target),),
    )
