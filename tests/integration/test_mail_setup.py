"""From address and password to a form that is filled in: one run, through the facade, against scripted servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.discovery.result import Confidence, Discovery, FoundServer, Offer, Reason, Source, Verdict
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run
from cgcore.storage.tables import UserRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.discovery import DISCOVERIES_PER_MINUTE, DiscoverySection
from cgcore.workbench.mail_setup import MailSetup
from cgcore.workbench.overview import SectionState
from cgcore.workbench.verdicts import verdict_texts
from tests.servers.asking import PASSWORD, USER, loopback
from tests.servers.certificates import Certificates
from tests.servers.scripted import ScriptedServer, imap_server, smtp_server


class _Known(DiscoverySection):
    """Has found what it is told."""

    found: Discovery

    def prepare(self, actor: Actor, address: str) -> Callable[[], Discovery]:
        super().prepare(actor, address)
        return lambda: self.found


class Bench:
    """The section, with two servers that greet and sign in."""

    def __init__(self, workbench: Workbench, smtp: ScriptedServer, imap: ScriptedServer, env: object) -> None:
        self.workbench, self.smtp, self.imap = workbench, smtp, imap
        self.discovery = _Known(workbench.context, environment=lambda: env)  # type: ignore[arg-type,return-value]
        self.setup = MailSetup(
            workbench.context,
            runs=workbench.runs,
            discovery=self.discovery,
            environment=lambda: env,  # type: ignore[arg-type,return-value]
            fingerprint=workbench.mail_runs.fingerprint,
        )
        with workbench.database.session() as session:
            row = UserRow(username="ana", username_key="ana")
            session.add(row)
            session.flush()
            self.actor = Actor(user_id=row.id or 0, username="ana", full_name="Ana Tosma", mail=USER)

    def finds(self, *, foreign: bool = False) -> None:
        """Let both servers be found."""
        self.discovery.found = Discovery(
            USER,
            "example.com",
            Verdict.OK,
            legs={
                leg: FoundServer(
                    Offer(leg, "mail.test", port, Security.SSL, Source.SRV, Confidence.MEDIUM, confirm=foreign),
                    USER,
                    True,
                )
                for leg, port in ((Leg.SMTP, self.smtp.port), (Leg.IMAP, self.imap.port))
            },
        )

    def run(self, password: str = PASSWORD, *, confirmed: tuple[str, ...] = ()) -> Run:
        """Return the whole run."""
        started = self.setup.start(self.actor, MailAccountDraft(USER, Secret(password)), confirmed=confirmed)
        *_, ended = self.workbench.runs.follow(self.actor, started)
        return ended

    def heard_a_sign_in(self) -> bool:
        """Whether anybody has tried to sign in."""
        lines = [*self.smtp.lines, *self.imap.lines]
        return any(word in line.upper() for line in lines for word in (b"AUTH PLAIN", b"LOGIN", b"AUTHENTICATE"))


@pytest.fixture
def bench(workbench: Workbench, certificates: Certificates) -> Iterator[Bench]:
    """Both servers under the name «mail.test»."""
    with (
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as smtp,
        imap_server("friendly", certificates.trusted, implicit_tls=True) as imap,
    ):
        yield Bench(workbench, smtp, imap, loopback(certificates, resolver=lambda _host, _deadline: ["127.0.0.1"]))


def test_what_was_found_is_signed_in_to_and_the_folder_is_chosen(bench: Bench) -> None:
    """The result holds what to fill in and where it is from, and nowhere the password."""
    bench.finds()
    run = bench.run()

    assert run.verdict is not None
    assert run.verdict.key == "ok"
    assert run.result is not None
    assert (run.result["user"], run.result["folder"], run.result["folder_from"]) == (USER, "Sent", "flag")
    assert (run.result["smtp"]["host"], run.result["smtp"]["source"]) == ("mail.test", "srv")
    assert [step.stage for step in run.steps][:2] == ["discover", "discover"]
    assert [step.stage for step in run.steps if step.leg == "imap"].count("append") == 1
    assert PASSWORD not in repr(run)


def test_what_a_set_up_has_proven_needs_no_second_test(bench: Bench) -> None:
    """Both cells and Resumen know it once it is saved as it was found, and not of another password or server."""
    bench.finds()
    run = bench.run()
    runs, result = bench.workbench.mail_runs, run.result or {}
    smtp, imap = (ServerDraft(result[leg]["host"], result[leg]["port"], Security.SSL) for leg in ("smtp", "imap"))
    draft = MailAccountDraft(USER, Secret(PASSWORD), smtp, imap, sent_folder="Sent")
    bench.workbench.mail_account.save(bench.actor, draft, version=0)
    stored = bench.workbench.mail_account.get(bench.actor).draft
    for cell, leg in ((Cell.SMTP, "smtp"), (Cell.IMAP, "imap")):
        found = runs.find_last(bench.actor, cell)
        assert found is not None
        assert found.fingerprint == runs.fingerprint(bench.actor, cell, stored)
        assert not found.failed
        assert {step.leg for step in found.steps} == {leg}
        assert "discover" not in [step.stage for step in found.steps]
        other = replace(stored, password=Secret("otra"))
        assert found.fingerprint != runs.fingerprint(bench.actor, cell, other)
    line = runs.overview(bench.actor)
    assert (line.state, line.code) == (SectionState.OK, "mail_proven")


def test_a_set_up_that_failed_proves_neither_leg(bench: Bench) -> None:
    """Of a wrong password nothing is taken for tested."""
    bench.finds()
    bench.run("equivocada")

    assert bench.workbench.mail_runs.find_last(bench.actor, Cell.SMTP) is None
    assert bench.workbench.mail_runs.find_last(bench.actor, Cell.IMAP) is None


def test_no_password_goes_to_a_foreign_server_before_a_yes(bench: Bench) -> None:
    """The run ends with the question; with the answer it goes on."""
    bench.finds(foreign=True)
    asked = bench.run()

    assert asked.verdict is not None
    assert asked.verdict.key == "confirm_host"
    assert "mail.test" in verdict_texts(asked.cell, asked.verdict)[0]
    assert asked.result is not None
    assert asked.result["questions"] == ["mail.test"]
    assert not bench.heard_a_sign_in()

    assert bench.run(confirmed=("otra.test",)).result == asked.result
    assert not bench.heard_a_sign_in()
    confirmed = bench.run(confirmed=("mail.test",))
    assert confirmed.verdict is not None
    assert confirmed.verdict.key == "ok"
    assert bench.heard_a_sign_in()


def test_a_wrong_password_is_told_and_the_servers_are_filled_in(bench: Bench) -> None:
    """Two tries to sign in at most: one a leg."""
    bench.finds()
    run = bench.run("equivocada")

    assert run.verdict is not None
    assert run.verdict.key == "bad_credentials"
    assert run.result is not None
    assert run.result["smtp"]["host"] == "mail.test"
    assert run.result["folder"] == ""
    assert len([step for step in run.steps if step.stage == "auth"]) == 2


def test_why_nothing_was_found_is_the_verdict(bench: Bench) -> None:
    """With the domain in the sentence; nobody is connected to."""
    bench.discovery.found = Discovery(USER, "example.com", Verdict.NONE, reason=Reason.NO_SUCH_DOMAIN)
    run = bench.run()

    assert run.failed
    assert run.verdict is not None
    assert verdict_texts(run.cell, run.verdict)[0] == "El dominio example.com no existe."
    assert bench.smtp.connections == bench.imap.connections == 0


@pytest.mark.parametrize(
    ("user", "password", "missing"),
    [
        ("", "x", [("user", "empty")]),
        ("ana", "x", [("user", "address_syntax")]),
        (USER, "", [("password", "empty")]),
        ("", "", [("user", "empty"), ("password", "empty")]),
    ],
)
def test_what_is_missing_is_told_before_anything_starts(
    bench: Bench, user: str, password: str, missing: list[tuple[str, str]]
) -> None:
    """Beside its field, all of it at once."""
    with pytest.raises(InvalidInput) as refused:
        bench.setup.start(bench.actor, MailAccountDraft(user, Secret(password)))

    assert [(found.field, found.code) for found in refused.value.problems] == missing


def test_a_person_searches_a_few_times_a_minute(bench: Bench) -> None:
    """Whoever names a domain names the hosts that are connected to."""
    bench.discovery.found = Discovery(USER, "example.com", Verdict.NONE, reason=Reason.NO_SUCH_DOMAIN)
    for _ in range(DISCOVERIES_PER_MINUTE):
        bench.run()

    with pytest.raises(InvalidInput) as refused:
        bench.run()
    assert [found.code for found in refused.value.problems] == ["too_many_searches"]
