"""Who may import whom, and what is not imported before the product answers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from cgcore.storage.database import TABLE_MODULES
from tests.servers.product import product_environment

ROOT = Path(__file__).parents[2]

# Nothing of these before the workbench is used (but for what Streamlit itself imports).
LATE = (
    "aiosmtpd",
    "alembic",
    "argon2",
    "cryptography",
    "css_inline",
    "fastapi",
    "keyring",
    "lxml",
    "nh3",
    "PIL",
    "pymap",
    "segno",
    "streamlit_quill",
)
# And of these before its database is used: /salud answers without them.
TABLES = ("sqlalchemy", "sqlmodel")

OPENS_WORKBENCH = "from cgcore.workbench import get_workbench; get_workbench()"
RUNS_LIFESPAN = """
import anyio, streamlit_app
async def live():
    async with streamlit_app.assembly.lifespan(None):
        pass
anyio.run(live)
"""


def _imported(program: str, folder: Path) -> set[str]:
    """Run ``program`` in a new interpreter and return the top-level packages that it has loaded."""
    tail = "\nimport sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program + tail],
        cwd=ROOT,
        env={**product_environment(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rpartition("LOADED ")[2].split())


def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_the_import_rules_are_kept() -> None:
    """Every contract of ``[tool.importlinter]`` holds."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert " 0 broken." in done.stdout


def test_a_module_with_a_single_importer_says_why_it_stands_alone() -> None:
    """In its docstring; else it moves in. The parts of a page need no reason: a page has 120 lines at most."""
    graph = grimp.build_graph("cgcore", exclude_type_checking_imports=False)
    modules = {name: ROOT / f"{name.replace('.', '/')}.py" for name in graph.modules}
    single = {
        name: ast.get_docstring(ast.parse(path.read_text())) or ""
        for name, path in modules.items()
        if path.exists() and len(graph.find_modules_that_directly_import(name)) == 1
    }
    silent = sorted(name for name, docstring in single.items() if not re.search(r"\b([Aa]part|[Aa]lone)\b", docstring))

    assert "cgcore.mail.smtp.client" in single
    assert silent == []


def test_the_core_loads_without_streamlit(tmp_path: Path) -> None:
    """Importing every module of the core loads neither Streamlit nor a page."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in _sources("cgcore")]
    modules = [n.removesuffix(".__init__") for n in names if "migrations.versions" not in n and "__main__" not in n]
    loaded = _imported("\n".join(f"import {name}" for name in modules), tmp_path)

    assert "cgcore" in loaded
    assert loaded.isdisjoint({"streamlit", "streamlit_quill", "pages"})


def test_the_facade_loads_little(tmp_path: Path) -> None:
    """``import cgcore.workbench`` brings nothing that only a later use needs."""
    loaded = _imported("import cgcore.workbench", tmp_path)

    assert "pydantic_settings" in loaded
    assert sorted(loaded & {*LATE, *TABLES, "streamlit", "starlette", "typer"}) == []


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a first start leaves it; the password hash and the migration are behind us."""
    folder = tmp_path_factory.mktemp("warm")
    _imported(RUNS_LIFESPAN, folder)
    return folder


def test_opening_the_workbench_of_a_known_database_loads_little(prepared: Path) -> None:
    """A database at the newest revision needs no Alembic, and is not loaded before its first use."""
    loaded = _imported(OPENS_WORKBENCH, prepared)

    assert sorted(loaded & {*LATE, *TABLES, "streamlit", "starlette"}) == []


def test_until_the_product_answers_nothing_heavy_is_loaded(prepared: Path) -> None:
    """What the entry script is made of, and what the start has loaded once it is over."""
    bare = _imported("import streamlit", prepared)
    entered, started = _imported("import streamlit_app", prepared), _imported(RUNS_LIFESPAN, prepared)

    assert "streamlit" in entered
    assert sorted((entered - bare) & {*LATE, *TABLES}) == []
    assert sorted((started - bare) & set(LATE)) == []


def test_every_table_is_declared_before_the_first_statement() -> None:
    """One that a thread declares while another's first statement connects the tables would break that one."""
    declaring = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in _sources("cgcore")
        if "table=True" in path.read_text("utf-8")
    }

    assert {module.__name__ for module in TABLE_MODULES} == declaring


def test_only_storage_opens_sessions_and_only_the_facade_asks_for_them() -> None:
    """``Session(…)``, engines and queries stand in ``storage/``; ``.session()`` there and in the facade."""
    makers = {"Session", "create_engine", "sessionmaker", "select", "text"}
    found = []
    for path in _sources("cgcore") + _sources("pages"):
        where = path.relative_to(ROOT)
        if where.parts[:2] == ("cgcore", "storage"):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        of_database = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("sqlmodel", "sqlalchemy")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Name) and called.id in makers & of_database:
                found.append(f"{where}:{node.lineno} {called.id}()")
            opens = isinstance(called, ast.Attribute) and called.attr == "session" and not node.args
            if opens and where.parts[:2] != ("cgcore", "workbench"):
                found.append(f"{where}:{node.lineno} .session()")

    assert found == []


def test_nothing_happens_at_import() -> None:
    """No module of the core calls a function that reads settings, opens a database or a socket while it loads."""
    busy = {
        "load_settings",
        "open_workbench",
        "open_database",
        "get_workbench",
        "open_vault",
        "create_engine",
        "Thread",
    }
    found = []
    for path in _sources("cgcore"):
        for statement in ast.parse(path.read_text("utf-8")).body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If)):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in busy:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert found == []
