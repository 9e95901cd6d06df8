"""What an ordinary visit does not load: the libraries of numbers, tables and pictures are most of a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers.product import product_environment

ROOT = Path(__file__).parents[2]

# 95 MB together, beside some 150 of all the rest.
HEAVY = ("numpy", "pandas", "pyarrow", "alembic")
# Not «Valores por defecto para envío»: Streamlit loads them itself for any component of others, the editor too.
VISITED = (
    "overview.py",
    "mail_account.py",
    "series_defaults.py",
    "api_key.py",
    "sandbox.py",
    "profile.py",
    "administration.py",
)

PREPARES = """
from cgcore.series.starters import STARTER_SETS
from cgcore.vault.secret import Secret
from cgcore.workbench import get_workbench
workbench = get_workbench()
code = workbench.identity.accounts.issue_first_use_code()
actor = workbench.identity.accounts.first_use(code, "ana", Secret("una frase bastante larga")).actor
workbench.series.create_starter_set(actor, STARTER_SETS[0].layout)
print(actor.session_hash)
"""

VISITS = """
import sys
from streamlit.testing.v1 import AppTest
from cgcore.workbench import get_workbench
session_hash, *pages = sys.argv[1:]
for page in pages:
    app = AppTest.from_file("pages/workbench.py", default_timeout=60)
    app.user = {"login": get_workbench().identity.sessions.sign_identity(session_hash)}
    app.run()
    app.switch_page(page).run()
    assert not app.exception, page
    print(page, app.title[0].value, *sorted(set(HEAVY) & set(sys.modules)), sep="|")
"""


def _run(program: str, folder: Path, *arguments: str) -> list[str]:
    """Run ``program`` in a new process over the data of ``folder``; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{program}", *arguments],
        cwd=ROOT,
        env={**product_environment(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_page_of_an_ordinary_visit_loads_what_is_heavy(tmp_path: Path) -> None:
    """In a process of its own, page after page, over an installation as a first start has left it."""
    (session_hash,) = _run(PREPARES, tmp_path)
    seen = [line.split("|") for line in _run(VISITS, tmp_path, session_hash, *VISITED)]

    assert [page for page, *_ in seen] == list(VISITED)
    assert len({title for _, title, *_ in seen}) == len(VISITED)
    assert [(page, loaded) for page, _title, *loaded in seen if loaded] == []


# What comes before the first answer of a server whose database is there already and as this program wants it.
STARTS = """
import sys
from contextlib import ExitStack
import streamlit_app
with ExitStack() as held:
    streamlit_app.assembly._open(held)
    print("opened", *sorted({"sqlalchemy", "cryptography", "fastapi", "authlib"} & set(sys.modules)), sep="|")
"""


def test_a_server_answers_before_it_has_loaded_its_database(tmp_path: Path) -> None:
    """Half of a start is the libraries of database and vault; they come behind the first «/salud»."""
    _run(PREPARES, tmp_path)

    assert _run(STARTS, tmp_path)[-1] == "opened"
