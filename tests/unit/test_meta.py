"""The house rules that a machine can see: settings documented, pages registered, names exported, texts in place."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit as st

from cgcore.identity.actor import Role
from cgcore.series.series import SeriesKind
from cgcore.settings import Settings
from cgcore.texts import lookup
from cgcore.workbench import Workbench
from tests.servers.pages import open_page, sign_in

ROOT = Path(__file__).parents[2]

# Script, address, title, Material icon of every page; the first is the default one, at «/».
PAGES = [
    ("overview.py", "", "Resumen"),
    ("mail_account.py", "cuenta-mail", "Cuenta mail"),
    ("sending_defaults.py", "valores-por-defecto", "Valores por defecto para envío"),
    ("series_defaults.py", "series-por-defecto", "Series por defecto"),
    ("api_key.py", "api-key", "API Key"),
    ("send_document.py", "enviar-documento", "Enviar documento"),
    ("sandbox.py", "bandeja-de-pruebas", "Bandeja de pruebas"),
    ("activity.py", "actividad", "Actividad"),
    ("administration.py", "administracion", "Administración"),
    ("profile.py", "mi-usuario", "Mi usuario"),
]
ADMINISTRATORS_ONLY = "administration.py"

LONGEST_MODULE = 400
PAGE_LINES = range(30, 121)

# Modules that write a document into a frame without rights: the look of a mail, not of the page.
WRITES_FRAMES = {"pages/ui/preview.py"}

# Spanish in the code itself, each with its reason; everything else stands in texts_es.toml or pages/ui/texts/.
SPANISH_ALLOWED = {
    "cgcore/mail/imap/folders.py": "folder names as servers give them",
    "cgcore/portable/content.py": "a word that a field of a file may not bear",
    "cgcore/sandbox/authority.py": "the name in a certificate",
    "cgcore/vault/os_keyring.py": "characters that tell whether a keyring keeps them",
    "cgcore/workbench/demo.py": "a company's address",
    "cgcore/cli/demo.py": "lines that scripts read, one fact each",
}

# Where the hour is asked, each with its reason: it is noted, shown or compared with an hour that somebody else has set.
# What has passed is measured with a monotonic clock, for the hour may be set back or forth at any moment.
ASKS_THE_HOUR = {
    "cgcore/clock.py": "the one function for it",
    "cgcore/mail/connection.py": "the dates of a certificate",
    "cgcore/mail/imap/mailbox.py": "the date of a message",
    "cgcore/mail/message.py": "the date of a message",
    "cgcore/mail/network/tls.py": "whether it can be right at all",
    "cgcore/mail/probe.py": "the date of a message",
    "cgcore/sandbox/authority.py": "the dates of a certificate",
    "cgcore/sandbox/imap.py": "the date of a message",
    "cgcore/sandbox/smtp.py": "the date of a message",
    "cgcore/storage/outbox_edges.py": "when a message is due, over restarts; PostgreSQL is asked itself",
    "cgcore/workbench/backup.py": "when a backup was made",
    "cgcore/workbench/start.py": "the name of a folder",
    "pages/activity.py": "which day is today, where it is seen",
    "pages/ui/drafts.py": "which day is today, where it is seen",
    "pages/ui/moments.py": "how long ago, for people",
}
# Where the distance of two hours becomes a number: it is shown, or it waits for a moment that is capped elsewhere.
TELLS_A_DISTANCE = {
    "cgcore/storage/outbox_queue.py": "how long a message has been tried, over restarts",
    "cgcore/storage/totals.py": "how long a message has waited past its time, over restarts",
    "cgcore/workbench/identity/accounts.py": "the wait of the throttle",
    "cgcore/workbench/identity/passwords.py": "the wait of the throttle",
    "pages/ui/moments.py": "«hace 3 s» and «Se envía en 8 s», as they are shown",
}
# Spanish words that are addresses, codes of files, or names inside a mail, and no sentence.
SPANISH_NAMES = {
    "cgcore/mail/diagnosis/reply.py": "words of servers",
    "cgcore/mail/imap/mailbox.py": "an address that cannot be",
    "cgcore/mail/oauth_client.py": "addresses and names of scopes",
    "cgcore/sandbox/state.py": "a domain and user names",
    "cgcore/series/defaults.py": "names of values",
    "cgcore/series/starters.py": "codes of series",
    "cgcore/storage/obstacles.py": "the name of a parameter",
    "cgcore/storage/tables.py": "a code of a series",
    "cgcore/templates/image_parts.py": "a part's id",
    "cgcore/web/login_pages.py": "a code in an address",
    "cgcore/web/paths.py": "an address",
    "cgcore/workbench/oauth/grants.py": "addresses of providers",
    "cgcore/workbench/template_mail.py": "names of values, an address and a part's file name",
    "pages/ui/server.py": "addresses and names of settings",
}
# Lists and moments that are written in one way in every language.
WRITES_FOR_MACHINES = {
    "cgcore/activity.py": "the moment in a table that is downloaded",
    "cgcore/cli/outbox.py": "lines that scripts read, one fact each",
    "cgcore/errors.py": "an exception's own text",
    "cgcore/sandbox/reading.py": "addresses as a header lists them",
    "cgcore/web/api/handlers.py": "the header Allow",
    "cgcore/web/api/requests.py": "the header If-Match",
    "cgcore/workbench/backup.py": "the name of what is put aside, and the moment in a file",
    "cgcore/workbench/start.py": "the name of a folder",
}
DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

MODULES = sorted(p for p in (ROOT / "cgcore").rglob("*.py") if "versions" not in p.parts)
PAGE_SCRIPTS = sorted((ROOT / "pages").glob("*.py"))
PAGE_MODULES = sorted((ROOT / "pages").rglob("*.py"))


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _exported(tree: ast.Module) -> list[str] | None:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and [t.id for t in statement.targets if isinstance(t, ast.Name)] == [
            "__all__"
        ]:
            return list(ast.literal_eval(statement.value))
    return None


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(path)))


@cache
def _told(path: Path) -> list[tuple[int, str]]:
    """Return line and text of the strings that are no docstring, the parts of f-strings among them."""
    docstrings = {
        node.body[0].value
        for node in _nodes(path)
        if isinstance(node, DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in _nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
    ]


def _strings_like(path: Path, pattern: str) -> list[str]:
    """Return where a string that is no docstring matches ``pattern``."""
    return [f"{_shown(path)}:{line} {said[:50]!r}" for line, said in _told(path) if re.search(pattern, said)]


def test_every_setting_is_documented_and_nothing_else() -> None:
    """The README names each variable of the settings, and none that there is not."""
    readme = (ROOT / "README.md").read_text("utf-8")
    settings = {str(field.validation_alias or f"CG_{name}".upper()) for name, field in Settings.model_fields.items()}
    documented = set(re.findall(r"\bCG_[A-Z_]+\b|\bSSL_CERT_FILE\b", readme))

    assert sorted(settings - documented) == []
    assert sorted(documented - settings) == []


@pytest.mark.parametrize("role", list(Role))
def test_every_page_is_registered(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, role: Role) -> None:
    """Each has its address, Spanish title, icon and a sentence; only an administrator sees «Administración»."""
    registered: list[tuple[str, dict[str, str]]] = []
    original = st.Page

    def record(script: str, **facts: str) -> object:
        registered.append((script, facts))
        return original(script, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(st, "Page", record)
    app = open_page(monkeypatch, workbench, sign_in(workbench, "ana", role), "profile.py")
    found = {
        script: ("" if facts.get("default") else facts["url_path"], facts["title"]) for script, facts in registered
    }
    expected = {script: (address, title) for script, address, title in PAGES}
    if role is not Role.ADMIN:
        del expected[ADMINISTRATORS_ONLY]

    assert not app.exception
    assert found == expected
    for script, facts in registered:
        assert re.fullmatch(r":material/[a-z0-9_]+:", facts["icon"]), script
        assert re.fullmatch(r"[A-ZÁÉÍÓÚ¿].*\.", facts["help"]), script
        assert facts["url_path"].isascii(), script
        assert (ROOT / "pages" / script).exists(), script


def test_every_page_script_is_a_page() -> None:
    """No script beside the router is left unregistered."""
    scripts = {path.name for path in PAGE_SCRIPTS} - {"__init__.py", "workbench.py"}

    assert scripts == {script for script, _, _ in PAGES}


@pytest.mark.parametrize("path", PAGE_SCRIPTS, ids=_shown)
def test_a_page_is_read_from_top_to_bottom(path: Path) -> None:
    """It has 30 to 120 lines, and no ``main()``."""
    functions = {node.name for node in _tree(path).body if isinstance(node, ast.FunctionDef)}

    assert len(path.read_text("utf-8").splitlines()) in PAGE_LINES
    assert "main" not in functions


def test_every_page_with_a_draft_is_known_where_drafts_are_told() -> None:
    """By its address, so that what is typed on it is found again, and to «Cerrar sesión», which names it."""
    names = {path.stem for path in (ROOT / "pages").glob("*.py") if "draw_draft(" in path.read_text()}
    menu, leaving = (ROOT / "pages/workbench.py").read_text(), (ROOT / "pages/ui/log_out.py").read_text()

    assert "send_document" in names
    assert [name for name in sorted(names) if f': "{name}"' not in menu or f'"{name}": ' not in leaving] == []


def test_pages_hold_no_css_and_no_free_html() -> None:
    """Native elements only: nothing unsafe, no style, no script; ``st.html`` never takes a variable."""
    found = []
    for path in PAGE_MODULES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.keyword) and (node.arg or "").startswith("unsafe_allow"):
                found.append(f"{_shown(path)}:{node.value.lineno} {node.arg}")
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "st.html"
                and isinstance(node.args[0], ast.Name)
            ):
                found.append(f"{_shown(path)}:{node.lineno} {ast.unparse(node)}")
        if _shown(path) not in WRITES_FRAMES:
            found += _strings_like(path, r"<style|<script|\bstyle=|\bon\w+=|javascript:")

    assert found == []


def test_modules_are_short() -> None:
    """No module of the core or the pages is longer than 400 lines."""
    lengths = {_shown(path): len(path.read_text("utf-8").splitlines()) for path in MODULES + PAGE_MODULES}

    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_every_module_of_the_core_says_what_it_exports() -> None:
    """``__all__`` stands in each module that defines anything, sorted names that exist; the docstring in each."""
    found = []
    for path in MODULES:
        tree, name = _tree(path), ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if ast.get_docstring(tree) is None:
            found.append(f"{_shown(path)}: no docstring")
        exported = _exported(tree)
        defines = any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in tree.body)
        if exported is None:
            found += [f"{_shown(path)}: no __all__"] if defines else []
            continue
        module = importlib.import_module(name)
        found += [f"{_shown(path)}: {entry}" for entry in exported if not hasattr(module, entry)]

    assert found == []


def _undocumented(body: list[ast.stmt], names: set[str] | None) -> Iterator[tuple[int, str]]:
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if node.name.startswith("_") or (names is not None and node.name not in names):
            continue
        decorators = {ast.unparse(decorator) for decorator in getattr(node, "decorator_list", [])}
        if ast.get_docstring(node) is None and not decorators & {"override", "overload"}:
            yield node.lineno, node.name
        if isinstance(node, ast.ClassDef):
            yield from ((line, f"{node.name}.{name}") for line, name in _undocumented(node.body, None))


def test_every_public_name_of_the_core_has_a_docstring() -> None:
    """Functions, classes and public methods of what ``__all__`` names."""
    found = []
    for path in MODULES:
        tree = _tree(path)
        exported = set(_exported(tree) or [])
        found += [f"{_shown(path)}:{line} {name}" for line, name in _undocumented(tree.body, exported)]

    assert found == []


def _catalogue_words() -> set[str]:
    files = [*(ROOT / "cgcore").rglob("*_es.toml"), *(ROOT / "pages").rglob("*_es.toml")]
    return {word for path in files for said in _values(tomllib.loads(path.read_text("utf-8"))) for word in _words(said)}


def _values(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield re.sub(r"\{[^}]*\}|:[a-z]+(?:-[a-z]+)?\[", " ", value)
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _values(entry)


def _words(said: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[a-záéíóúüñA-ZÁÉÍÓÚÜÑ]{4,}", said)}


def _english_words(path: Path) -> set[str]:
    """Return the words of names, comments and docstrings, without what they quote."""
    said = re.findall(r"# .*", path.read_text("utf-8"))
    for node in _nodes(path):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                said.append(name)
            case ast.Module() | ast.FunctionDef(name=_) | ast.AsyncFunctionDef(name=_) | ast.ClassDef(name=_):
                said += [getattr(node, "name", ""), ast.get_docstring(node, clean=False) or ""]
            case _:
                pass
    return _words(re.sub("«[^»]*»", "", " ".join(said)).replace("_", " "))


def test_no_word_of_the_catalogues_stands_in_the_code() -> None:
    """Not as a part of an f-string, a list or a file name either; addresses, names of values and codes of files are."""
    codes = (
        {address for _, address, _ in PAGES}
        | {kind.value for kind in SeriesKind}
        | set(lookup("cgcore.templates", "variables"))
    )
    modules = [path for path in [*MODULES, *PAGE_MODULES] if _shown(path) not in SPANISH_ALLOWED | SPANISH_NAMES]
    spanish = _catalogue_words() - set[str]().union(*map(_english_words, [*MODULES, *PAGE_MODULES]))
    found = [f"{line} {sorted(words)}" for path in modules for line, words in _spoken(path, codes, spanish)]

    assert len(spanish) > 800
    assert found == []


def _spoken(path: Path, codes: set[str], spanish: set[str]) -> Iterator[tuple[str, set[str]]]:
    for line, said in _told(path):
        if said not in codes and (words := _words(said) & spanish):
            yield f"{_shown(path)}:{line}", words


def test_spanish_sentences_stand_where_they_belong() -> None:
    """No other string holds an accented word, words beside «», or the small words of a sentence; HTML neither."""
    small = r"(?i)\b(el|del|las|los|una|con|para|por|que|son|hace|falta|usa|desde|hasta|cada|todo|hay|no se)\b"
    found = [
        f"{_shown(path)}: {line.strip()[:50]}"
        for path in (ROOT / "cgcore").rglob("*.html")
        for line in path.read_text("utf-8").splitlines()
        if re.search(rf"[áéíóúüñ¿¡]|{small[4:]}", line, re.IGNORECASE)
    ]
    for path in [*MODULES, *PAGE_MODULES, ROOT / "streamlit_app.py"]:
        if _shown(path) not in SPANISH_ALLOWED:
            found += _strings_like(path, r"[áéíóúüñÁÉÍÓÚÜÑ¿¡]|(?=.*[«»]).*[a-z]{2}")
            found += _strings_like(path, rf"{small}.* |.* {small[4:]}")

    assert found == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_locks_hold_hashes_and_no_address(name: str) -> None:
    """Every requirement is pinned exactly and hashed; nothing says where to download from."""
    text = (ROOT / name).read_text("utf-8")
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", text).strip())

    assert len(blocks) > 50
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block or "==" not in block] == []
    assert re.findall(r"https?://\S+|--(?:extra-)?index\S*|--find-links\S*", text) == []


def test_what_a_browser_test_loads_is_locked_without_an_address() -> None:
    """Each package of the npm lock has its digest, and nothing says where to download it from.

    Whom a package asks for money is an address too, and not one of a download.
    """
    lock = json.loads((ROOT / "tests" / "package-lock.json").read_text("utf-8"))
    packages = {name: facts for name, facts in lock["packages"].items() if name}
    text = json.dumps([{**facts, "funding": None} for facts in packages.values()])

    assert {"node_modules/axe-core", "node_modules/oidc-provider"} <= set(packages)
    assert [name for name, facts in packages.items() if not facts["integrity"].startswith("sha512-")] == []
    assert re.findall(r"https?://|\"resolved\"", text) == []


def test_every_promise_names_tests_that_are_there() -> None:
    """A promise without its test does not stand there; a test that is renamed takes its name along."""
    rows = [line for line in (ROOT / "docs/promises.md").read_text().splitlines() if line.startswith("| ")]
    for row in (row for row in rows if not row.startswith("| fault |")):
        tests: list[str] = []
        for word in re.findall(r"`([\w/]+\.py|test_\w+)`", row.rpartition(" | ")[2]):
            if word.endswith(".py"):
                tests.append((ROOT / "tests" / word).read_text())
            else:
                assert re.search(rf"^ *def {word}\(", tests[-1], re.MULTILINE), word
        assert tests, row


def _hour_calls(tree: ast.AST) -> Iterator[str]:
    """Yield each call that asks the hour of the machine or measures between two hours, by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            names = {"time": ("time", "time_ns", "ctime", "localtime", "gmtime")}.get(owner, ("now", "today", "utcnow"))
            if owner.rpartition(".")[2] in ("datetime", "date", "time") and node.func.attr in names:
                yield "hour"
            elif node.func.attr == "total_seconds":
                yield "distance"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            # Under a bare name neither of the above is seen.
            yield from ("hour" for name in node.names if name.name not in ("monotonic", "perf_counter", "sleep"))


def test_what_has_passed_is_measured_by_no_clock_that_is_set() -> None:
    """The hour is asked in a few places, each with its reason; a duration is none of them."""
    found: dict[str, set[str]] = {"hour": set(), "distance": set()}
    for path in [*MODULES, *PAGE_MODULES, ROOT / "streamlit_app.py"]:
        for kind in _hour_calls(ast.parse(path.read_text())):
            found[kind].add(_shown(path))

    assert found["hour"] == set(ASKS_THE_HOUR)
    assert found["distance"] == set(TELLS_A_DISTANCE)


def _written_by_hand(path: Path) -> Iterator[str]:
    """Yield where a list is joined with a comma, or a moment is written by a pattern of C."""
    for node in _nodes(path):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(glue)), attr="join")):
                by_hand = glue in (", ", " y ", " o ")
            case ast.Attribute(attr="strftime" | "ctime"):
                by_hand = True
            case ast.FormattedValue(format_spec=ast.JoinedStr(values=[ast.Constant(value=str(pattern)), *_])):
                by_hand = "%" in pattern.removesuffix("%")
            case _:
                continue
        if by_hand:
            yield f"{_shown(path)}:{node.lineno}"


def test_dates_and_lists_for_a_reader_are_written_by_his_language() -> None:
    """No page and nothing below it writes them by hand, but for the few places that no reader sees."""
    found = [place for path in [*MODULES, *PAGE_MODULES] for place in _written_by_hand(path)]

    assert [place for place in found if place.partition(":")[0] not in WRITES_FOR_MACHINES] == []
    assert {place.partition(":")[0] for place in found} >= set(WRITES_FOR_MACHINES)


def test_every_test_states_what_it_shows() -> None:
    """Each test has a docstring."""
    found = [
        f"{_shown(path)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(_tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        if ast.get_docstring(node) is None
    ]

    assert found == []


def test_every_fragment_and_dialog_looks_the_log_in_up() -> None:
    """A rerun of a fragment runs nothing above it, so each one checks by itself that its reader is still logged in."""
    unguarded: list[str] = []
    for path in sorted((ROOT / "pages").rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        unguarded += [
            f"{path.relative_to(ROOT)}:{number}"
            for number, (line, after) in enumerate(itertools.pairwise(lines), 1)
            if line.startswith(("@st.fragment", "@st.dialog")) and after != "@while_logged_in"
        ]

    assert unguarded == []


def test_every_field_of_a_form_gives_the_browser_its_value_as_the_default_too() -> None:
    """Its entry of the session reaches the browser with one run only, and that one may be overtaken; a secret never."""
    starts = {"text_input": "value", "text_area": "value", "number_input": "value", "toggle": "value"}
    starts |= {"checkbox": "value", "selectbox": "index", "segmented_control": "default", "pills": "default"}
    bare: list[str] = []
    seen = 0
    for path in PAGE_MODULES:
        for node in ast.walk(_tree(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in starts):
                continue
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if re.search(r"form\.(widget|choice)\(", given.get(None, "")):
                seen += 1
            elif re.search(r"form\.key\(|subject\.key$", given.get("key", "")) and given.get("type") != "'password'":
                seen += 1
                bare += [] if starts[node.func.attr] in given else [f"{_shown(path)}:{node.lineno}"]

    assert seen > 25
    assert bare == []
