"""The wordings of the pages: every name that a page uses stands in its file, and every entry is used."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "pages/ui/texts"
FILES = {
    path.name.removesuffix("_es.toml"): tomllib.loads(path.read_text("utf-8")) for path in FOLDER.glob("*_es.toml")
}
MODULES = sorted(path for path in (ROOT / "pages").rglob("*.py"))


def _uses(path: Path) -> Iterator[tuple[str, str]]:
    """Yield page and name of every wording or table that a module reads."""
    tree = ast.parse(path.read_text("utf-8"))
    known = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "pages.ui.texts"
        for alias in node.names
    }
    for node in ast.walk(tree):
        read = isinstance(node, ast.Attribute | ast.Subscript | ast.Call)
        where = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
        where = where or (node.value if isinstance(node, ast.Attribute | ast.Subscript) else None)
        if not read or not isinstance(where, ast.Name) or where.id not in known:
            continue
        if isinstance(node, ast.Attribute):
            if node.attr != "text":
                yield known[where.id], node.attr
        elif isinstance(node, ast.Subscript):
            yield known[where.id], _constant(node.slice)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "text":
            yield known[where.id], _constant(node.args[0])


def _constant(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant), f"line {node.lineno}: the name of a wording is written out"
    return str(node.value)


USES = {(page, name) for path in MODULES for page, name in _uses(path)}


@pytest.mark.parametrize("page", FILES)
def test_every_wording_that_a_page_uses_exists_and_every_entry_is_used(page: str) -> None:
    """A name that is misspelt, or an entry that nobody reads, fails here and not on the screen."""
    assert {name for where, name in USES if where == page} == set(FILES[page])


def test_every_file_of_wordings_belongs_to_a_page() -> None:
    """What is imported from the texts has its file, and no file is left over."""
    assert {page for page, _ in USES} == set(FILES)
