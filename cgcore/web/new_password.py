"""A new password by a link that works once: ``/nueva-contrasena/<token>``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cgcore.errors import InvalidInput, NotAllowed
from cgcore.vault.secret import Secret
from cgcore.web.forms import FormPages, show
from cgcore.web.html import Field, Page
from cgcore.web.paths import ENTER, NEW_PASSWORD
from cgcore.web.texts import text

__all__ = ["NewPasswordPages"]


class NewPasswordPages(FormPages):
    """The page behind the link. Looking at it does not use it up."""

    async def show_form(self, request: Request) -> Response:
        """Show the form, or that the link is dead (410)."""
        token = request.path_params["token"]
        username = await self._call(lambda: self._identity.find_reset_username(Secret(token)))
        return show(_dead_page(), 410) if username is None else show(_page(token, username))

    async def save(self, request: Request) -> Response:
        """Store the password: 303 to the log-in page, or the page with 422, or 410."""
        form = await self._read_form(request)
        if isinstance(form, Response):
            return form
        token, password, ip = request.path_params["token"], Secret(form.get("password", "")), self._find_ip(request)
        username = await self._call(lambda: self._identity.find_reset_username(Secret(token)))
        try:
            await self._call(lambda: self._identity.reset_password(Secret(token), password, ip=ip))
        except InvalidInput as refused:
            return show(_page(token, username or "", refused.problems[0].message), 422)
        except NotAllowed:
            return show(_dead_page(), 410)
        return RedirectResponse(f"{ENTER}?aviso=clave", 303)


def _page(token: str, username: str, error: str = "") -> Page:
    password = Field(
        "password",
        text("new_password_password"),
        "new-password",
        kind="password",
        hint=text("first_use_password_hint"),
        error=error,
    )
    return Page(
        text("new_password_title"),
        text("new_password_intro", username=username),
        action=NEW_PASSWORD + token,
        button=text("new_password_button"),
        fields=(password,),
    )


def _dead_page() -> Page:
    back = (ENTER, text("new_password_back"))
    return Page(text("new_password_dead_title"), text("new_password_dead_intro"), link=back)
