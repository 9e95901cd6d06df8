"""The first account: ``/primer-uso``, open while there is no user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cgcore.errors import InvalidInput, NotAllowed, StorageError, Throttled
from cgcore.vault.secret import Secret
from cgcore.web.forms import FormPages, say_wait, show, show_away, show_throttled
from cgcore.web.html import Field, Page
from cgcore.web.paths import ENTER, FIRST_USE
from cgcore.web.perimeter import Perimeter
from cgcore.web.texts import text

if TYPE_CHECKING:
    from cgcore.workbench import Workbench

__all__ = ["FirstUsePages"]


class FirstUsePages(FormPages):
    """The page of the first use. ``renew_code`` prints a new code on the console when the earlier one has expired."""

    def __init__(
        self, get_workbench: Callable[[], Workbench], perimeter: Perimeter, *, renew_code: Callable[[], None]
    ) -> None:
        super().__init__(get_workbench, perimeter)
        self._renew_code = renew_code

    async def show_form(self, _request: Request) -> Response:
        """Show the form, or the log-in page when there is a user."""
        if not await self._call(self._identity.first_use_needed):
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
                lambda: self._identity.first_use(Secret(code), username, password, ip=ip, user_agent=user_agent)
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
            return show(_page(code, username, {"code": text("first_use_code_wrong")}), 401)
        return self._let_in(request, result.token, "/")


def _page(code: str, username: str, errors: Mapping[str, str], *, alert: str = "") -> Page:
    return Page(
        text("first_use_title"),
        text("first_use_intro"),
        alert=alert,
        action=FIRST_USE,
        button=text("enter_button"),
        fields=(
            Field(
                "code",
                text("first_use_code"),
                "one-time-code",
                value=code,
                hint=text("first_use_code_hint"),
                error=errors.get("code", ""),
            ),
            Field("username", text("enter_username"), "username", value=username, error=errors.get("username", "")),
            Field(
                "password",
                text("enter_password"),
                "new-password",
                kind="password",
                hint=text("first_use_password_hint"),
                error=errors.get("password", ""),
            ),
        ),
    )
