"""What a page hands to Streamlit for later looks up who acts when it runs: none of it takes anybody along."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cgcore.identity.actor import Actor, Role
from pages.ui import identity
from pages.ui.identity import while_logged_in

PAGES = Path(__file__).parents[2] / "pages"
# The one module that hands a function over as a download, and the one that opens dialogs.
DOWNLOADS, DIALOGS = PAGES / "ui" / "files.py", PAGES / "ui" / "identity.py"
HANDLERS = {"on_click", "on_change", "on_submit", "on_select", "on_dismiss"}
# By these names people are held by somebody else: a page, a panel, a draft.
HELD = {"actor", "_actor", "user_id", "session_hash"}

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class Module:
    """A module of the pages, and what of all of them a callback may lead to."""

    tree: ast.Module
    is_downloads: bool = False
    is_dialogs: bool = False

    def __post_init__(self) -> None:
        nodes = list(ast.walk(self.tree))
        self.functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
        self.calls = [node for node in nodes if isinstance(node, ast.Call)]
        self.people = set(HELD)
        for node in nodes:
            if isinstance(node, ast.Assign) and re.search("(require|find)_actor", ast.unparse(node.value)):
                self.people |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.arg | ast.AnnAssign) and "Actor" in ast.unparse(node.annotation or ast.Pass()):
                self.people.add(node.arg if isinstance(node, ast.arg) else ast.unparse(node.target))

    def takes_along(self, node: ast.AST) -> list[str]:
        """Return the people whom ``node`` brings from where it stands; its own parameters and names are nobody's."""
        own = {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)} | _bound(node)
        names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and each.id in self.people - own]
        held = [each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and each.attr in HELD]
        return names + held

    def reached(self, handler: ast.AST, seen: frozenset[str] = frozenset()) -> Iterator[ast.AST]:
        """Yield ``handler`` and every function of the module that it leads to, by its name or as a method."""
        yield handler
        for each in ast.walk(handler):
            name = each.id if isinstance(each, ast.Name) else each.attr if isinstance(each, ast.Attribute) else ""
            if name in self.functions and name not in seen:
                yield from self.reached(self.functions[name], seen | {name})


def _bound(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def find_captures(module: Module) -> list[str]:
    """Return where a callable is handed over that acts for somebody who was found earlier."""
    found = [*_in_handlers(module), *_in_downloads(module), *_in_fragments(module)]
    return [f"{line}: {what}" for line, what in sorted(found)]


def _in_handlers(module: Module) -> Iterator[tuple[int, str]]:
    for call in module.calls:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        for name in HANDLERS & set(given):
            handed = [given[name], *(given[more] for more in ("args", "kwargs") if more in given)]
            direct = [each for node in handed for each in module.takes_along(node)]
            inside = [each for node in module.reached(given[name]) for each in module.takes_along(node)]
            if direct or inside:
                yield call.lineno, f"{name} takes {(direct or inside)[0]} along"


def _in_downloads(module: Module) -> Iterator[tuple[int, str]]:
    for call in module.calls:
        data = next((keyword.value for keyword in call.keywords if keyword.arg in ("data", "make")), None)
        data = data or (call.args[1] if len(call.args) > 1 else None)
        name = ast.unparse(call.func).rpartition(".")[2]
        if data is None or name not in ("download_button", "draw_download"):
            continue
        later = isinstance(data, ast.Lambda) or _leads_to(module, data)
        if name == "download_button" and later and not module.is_downloads:
            yield call.lineno, "a download that is made later is drawn by draw_download"
        if name == "draw_download":
            for each in (each for node in module.reached(data) for each in module.takes_along(node)):
                yield call.lineno, f"the download takes {each} along"


def _leads_to(module: Module, data: ast.AST) -> bool:
    is_partial = isinstance(data, ast.Call) and "partial" in ast.unparse(data.func)
    return is_partial or (isinstance(data, ast.Name) and data.id in module.functions)


def _in_fragments(module: Module) -> Iterator[tuple[int, str]]:
    decorators = [each for function in module.functions.values() for each in function.decorator_list]
    decorating = [each.func if isinstance(each, ast.Call) else each for each in decorators]
    for node in ast.walk(module.tree):
        name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if (name == "st.dialog" and not module.is_dialogs) or (name == "st.fragment" and node not in decorating):
            yield getattr(node, "lineno", 0), f"{name} is handed a function"
    for function in module.functions.values():
        if any(_is_fragment(each) for each in function.decorator_list):
            yield from _in_fragment(module, function)


def _in_fragment(module: Module, function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    if ast.unparse(function.decorator_list[-1]) != "while_logged_in":
        yield function.lineno, f"{function.name} does not look the log-in up"
    if function.col_offset:
        yield function.lineno, f"{function.name} stands inside another function"
    names = [each for each in ast.walk(function) if isinstance(each, ast.Name)]
    own = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)} | _bound(function)
    for each in names:
        if each.id in module.people - own:
            yield each.lineno, f"{function.name} takes {each.id} along"


def _is_fragment(decorator: ast.expr) -> bool:
    name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return name in ("st.fragment", "st.dialog", "dialog")


def test_nothing_that_runs_later_takes_anybody_along() -> None:
    """In all pages: downloads, callbacks with what they are given and lead to, fragments, dialogs."""
    modules = {
        path: Module(ast.parse(path.read_text("utf-8")), path == DOWNLOADS, path == DIALOGS)
        for path in sorted(PAGES.rglob("*.py"))
    }
    found = [
        f"{path.relative_to(PAGES)}:{where}" for path, module in modules.items() for where in find_captures(module)
    ]

    assert found == []
    assert sum(ast.unparse(call.func) == "draw_download" for each in modules.values() for call in each.calls) >= 4
    assert (
        sum(1 for each in modules.values() for call in each.calls for key in call.keywords if key.arg in HANDLERS) > 20
    )


REINTRODUCED = {
    "a download with the actor": "actor = require_actor()\ndraw_download('x', lambda asking: export(actor), key='k')",
    "a download by another name": "def f(me: Actor):\n    draw_download('x', lambda asking: export(me), key='k')",
    "a download of a page": "draw_download('x', lambda asking: export(page.actor), key='k')",
    "a download of a panel": "draw_download('x', make=lambda asking: export(self._actor), key='k')",
    "a download past the helper": "st.download_button('x', lambda: export(), key='k')",
    "a function past the helper": "def make(): return b''\nst.download_button('x', data=make)",
    "a partial past the helper": "st.download_button('x', partial(export, 1))",
    "a callback with the actor": "actor = require_actor()\nst.button('x', on_click=lambda: save(actor))",
    "an argument of a callback": "def f(actor: Actor):\n    st.button('x', on_click=save, args=(actor,))",
    "a named argument of a callback": "st.button('x', on_click=save, kwargs={'who': page.actor})",
    "a callback that asks its page": "def save(page):\n    do(page.actor)\nst.button('x', on_click=save, args=(page,))",
    "a callback that leads there": (
        "def save(page):\n    _save(page)\ndef _save(page):\n    do(page.actor)\n"
        "st.text_input('x', on_change=save, args=(page,))"
    ),
    "a method": (
        "class P:\n    def back(self):\n        do(self._actor)\n"
        "    def draw(self):\n        st.button('x', on_click=self.back)"
    ),
    "a dialog of the script": ("me = require_actor()\n@dialog(lambda: 'x')\n@while_logged_in\ndef ask():\n    do(me)"),
    "a fragment that looks nobody up": "@st.fragment\ndef draw(page):\n    do(page)",
    "a fragment inside a function": (
        "def outer(page):\n    @st.fragment\n    @while_logged_in\n    def draw():\n        do(page)"
    ),
    "a fragment that is no decorator": "st.fragment(draw)(page)",
    "a dialog past the helper": "@st.dialog('x')\n@while_logged_in\ndef ask(page):\n    do(page)",
    "a way out of a dialog": (
        "actor = require_actor()\n@dialog(lambda: 'x', on_dismiss=lambda: do(actor))\n"
        "@while_logged_in\ndef ask():\n    pass"
    ),
}
HARMLESS = {
    "a download": "def draw(part, actor: Actor):\n    draw_download('x', lambda asking: part.export(asking), key='k')",
    "data at hand": "st.download_button('x', message.raw, on_click='ignore')",
    "a callback": "def put(key):\n    st.session_state[key] = 1\nst.button('x', on_click=put, args=('k',))",
    "a callback that looks up": "def put(page):\n    do(require_actor())\nst.button('x', on_click=put, args=(page,))",
    "a callback that finds": (
        "def put(page):\n    actor = find_actor()\n    do(actor)\nst.button('x', on_click=put, args=(page,))"
    ),
    "a fragment": "@st.fragment\n@while_logged_in\ndef draw(page, actor: Actor):\n    do(actor, page.actor)",
    "a dialog": "@dialog(lambda: 'x')\n@while_logged_in\ndef ask(page):\n    do(page.actor)",
}


@pytest.mark.parametrize("source", REINTRODUCED.values(), ids=REINTRODUCED)
def test_what_would_take_somebody_along_is_found(source: str) -> None:
    """Each way that was ever in a page, and its neighbours."""
    assert find_captures(Module(ast.parse(source))) != []


@pytest.mark.parametrize("source", HARMLESS.values(), ids=HARMLESS)
def test_what_takes_nobody_along_is_left_alone(source: str) -> None:
    """The ways that pages are written in."""
    assert find_captures(Module(ast.parse(source))) == []


@dataclass(frozen=True)
class _Page:
    actor: Actor
    title: str


def test_a_rerun_acts_as_whoever_is_logged_in_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as whom the run of the page has found: with the role of now, wherever the actor was held."""
    before = Actor(7, "ana", role=Role.ADMIN, session_hash="a")
    now = replace(before, role=Role.USER)
    page, other = _Page(before, "x"), object()
    drawn: list[object] = []

    @while_logged_in
    def draw(*arguments: object, **named: object) -> None:
        drawn.extend([*arguments, *named.values()])

    monkeypatch.setattr(identity, "require_actor", lambda: now)
    draw(page, before, other, whose=page, name="y")
    monkeypatch.setattr(identity, "require_actor", lambda: before)
    draw(page)

    assert drawn[:5] == [replace(page, actor=now), now, other, replace(page, actor=now), "y"]
    assert drawn[5] is page
