"""What a run of a page costs, told by figures that no machine changes: messages, transactions, selects.

Each message costs about the same wherever it stands, and a read of the database as much as several of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.scriptrunner import RerunData
from streamlit.testing.v1 import AppTest, local_script_runner

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.workbench import Workbench
from cgcore.workbench.runs import Job
from tests.servers.api_users import add_person, issue_key
from tests.servers.costs import Cost, cost_of, count_messages
from tests.servers.house import add_series
from tests.servers.pages import open_page, words

# How many messages a run of each page sends at most: what it sends now, and room for a sentence or two.
MESSAGES = {
    "mail_account.py": 70,
    "sending_defaults.py": 85,
    "series_defaults.py": 90,
    "overview.py": 45,
    "profile.py": 55,
    "administration.py": 90,
    "api_key.py": 60,
    "activity.py": 25,
    "sandbox.py": 25,
    "send_document.py": 80,
}
_RUN = 12  # of the verdict, the steps and the transcript of one cell


@dataclass(frozen=True)
class House:
    """An installation, who looks at it, and what the browser is sent meanwhile."""

    workbench: Workbench
    ana: Actor
    sent: list[ForwardMsg]

    def cost(self, app: AppTest) -> Cost:
        """Return what one more run of a page costs that was just drawn."""
        app.run()
        cost = cost_of(self.workbench.database, self.sent, app.run)
        assert not app.exception
        return cost


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> House:
    """One administrator with a series and a key."""
    sent = count_messages(monkeypatch)
    ana = add_person(workbench, "ana", role=Role.ADMIN)
    add_series(workbench, ana.actor, "F", DocumentType.SALES_INVOICE)
    issue_key(workbench, ana)
    return House(workbench, ana.actor, sent)


def _finish_runs(house: House, *cells: Cell) -> None:
    step = Step(Leg.SMTP, "tcp", Status.OK, 3)
    for cell in cells:
        job = Job(lambda: iter((step, step)), lambda _steps, ms: Verdict("ok", "", ms), lambda *_: {"recipient": "a@b"})
        draft = house.workbench.mail_account.get(house.ana).draft
        mark = house.workbench.mail_runs.fingerprint(house.ana, cell, draft)
        list(house.workbench.runs.follow(house.ana, house.workbench.runs.start(house.ana, cell, mark, job)))


@pytest.mark.parametrize("script", MESSAGES)
def test_a_run_sends_few_messages_and_asks_the_database_twice_at_most(
    script: str, monkeypatch: pytest.MonkeyPatch, house: House
) -> None:
    """The log-in is looked up in every run; all else only where something has changed."""
    cost = house.cost(open_page(monkeypatch, house.workbench, house.ana, script))

    assert cost.messages <= MESSAGES[script]
    assert 1 <= cost.transactions <= 2


def test_three_results_of_tests_are_told_in_few_messages(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    """Verdict, steps and transcript of each; the database is not asked for them again."""
    _finish_runs(house, Cell.SMTP, Cell.IMAP, Cell.TEST_MAIL)
    app = open_page(monkeypatch, house.workbench, house.ana, "mail_account.py")
    cost = house.cost(app)

    assert sum(element.value.startswith("**") and "badge" in element.value for element in app.markdown) == 3
    assert "Sin ejecutar" not in words(app)
    assert cost.messages <= MESSAGES["mail_account.py"] + 3 * _RUN
    assert cost.transactions <= 2


def test_an_edit_in_a_cell_costs_less_than_a_run_of_the_page(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    """The second letter in a field changes nothing outside its cell; the first one changes the count beside Guardar."""
    app = open_page(monkeypatch, house.workbench, house.ana, "mail_account.py")
    app.text_input(key="mail_account_smtp_host").set_value("m").run()
    app.text_input(key="mail_account_user").set_value("a").run()
    full = _edit(house, app, "mail_account_user", "ana")
    with _in_fragment_of(house, "Servidor Saliente (SMTP)"):
        edit = _edit(house, app, "mail_account_smtp_host", "mail")

    assert edit.messages < full.messages / 2
    assert edit.transactions <= full.transactions
    assert edit.messages > 5
    (draft,) = house.workbench.drafts.list_drafts(house.ana, "mail_account")
    assert "mail" in str(draft.content)


def _edit(house: House, app: AppTest, key: str, value: str) -> Cost:
    """Return what it costs to type ``value``, the draft that is stored of it included."""

    def type_and_keep() -> None:
        app.text_input(key=key).set_value(value).run()
        house.workbench.drafts.flush(house.ana)

    house.workbench.drafts.flush(house.ana)
    cost = cost_of(house.workbench.database, house.sent, type_and_keep)
    assert not app.exception
    return cost


def test_selects_do_not_grow_with_series_or_types(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    """Also where everything has to be read anew: one question for all rows of a kind."""
    kinds = [kind for kind in DocumentType if kind is not DocumentType.PROFORMA_INVOICE]
    add_series(house.workbench, house.ana, "T", *kinds)
    house.workbench.series.defaults.save_company(house.ana, dict.fromkeys(kinds, "T"), None)
    found: dict[str, list[int]] = {}
    for script in ("series_defaults.py", "overview.py"):
        app = open_page(monkeypatch, house.workbench, house.ana, script)
        _selects_after_a_change(house, app, "A")
        found[script] = [_selects_after_a_change(house, app, "B")]
    for number in range(40):
        add_series(house.workbench, house.ana, f"S{number}", *kinds)
    for script, counts in found.items():
        app = open_page(monkeypatch, house.workbench, house.ana, script)
        counts.append(_selects_after_a_change(house, app, "C"))

    assert all(few == many < 40 for few, many in found.values()), found


def _selects_after_a_change(house: House, app: AppTest, host: str) -> int:
    account = house.workbench.mail_account
    version = account.get(house.ana).version
    account.save(house.ana, MailAccountDraft(user="ana", smtp=ServerDraft(f"{host}.tosma.es")), version=version)
    cost = cost_of(house.workbench.database, house.sent, app.run)
    assert not app.exception
    return cost.selects


@contextmanager
def _in_fragment_of(house: House, label: str) -> Iterator[None]:
    """Let each run be one of the fragment in which the field ``label`` was drawn last, as the browser asks for it."""
    (fragment,) = {
        message.delta.fragment_id
        for message in house.sent
        if message.delta.new_element.text_input.label == label and message.delta.fragment_id
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "RerunData", partial(RerunData, fragment_id_queue=[fragment]))
        yield
