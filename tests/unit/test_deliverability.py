"""What a domain says about who may send for it, against a DNS server of the test; and the card that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cgcore.errors import InvalidInput
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.deliverability import Finding, Subject, check_domain, finding_text
from cgcore.mail.network.dns import Records
from cgcore.mail.network.sockets import Deadline
from cgcore.runs import Status
from cgcore.workbench import Workbench
from cgcore.workbench.deliverability import domain_fingerprint
from tests.servers.pages import open_page, sign_in
from tests.unit.test_mail_resolver import dns_server

DOMAIN, IONOS = "empresa.example", "smtp.ionos.es"
GOOD: Mapping[tuple[str, str], str | tuple[str, ...] | None] = {
    (DOMAIN, "MX"): "10 mx00.ionos.es.",
    (DOMAIN, "TXT"): ('"google-site-verification=abc"', '"v=spf1 include:_spf-eu.ionos.com ~all"'),
    ("_spf-eu.ionos.com", "TXT"): '"v=spf1 ip4:192.0.2.0/24 ?all"',
    (f"s1-ionos._domainkey.{DOMAIN}", "TXT"): '"v=DKIM1; k=rsa; p=MIIBIjANBg"',
    (f"_dmarc.{DOMAIN}", "TXT"): '"v=DMARC1; p=quarantine"',
}


def look(
    changes: Mapping[tuple[str, str], str | tuple[str, ...] | None],
    address: str = f"facturas@{DOMAIN}",
    host: str = IONOS,
) -> dict[Subject, Finding]:
    """Return what is found with the good records but for some; one that is ``""`` is not there."""
    records = {key: value for key, value in {**GOOD, **changes}.items() if value != ""}
    with dns_server(records) as (server, _):
        found = list(check_domain(address, host, Records(server), Deadline.after(8)))
    for one in found:
        assert finding_text(one.code, one.values)
    return {one.subject: one for one in found}


def test_a_domain_that_says_everything_gets_four_good_lines() -> None:
    """MX, SPF with the provider in it, the provider's own DKIM selector, DMARC; no record to add."""
    found = look({})

    assert {one.subject: one.code for one in found.values()} == {
        Subject.MX: "mx_ok",
        Subject.SPF: "spf_ok",
        Subject.DKIM: "dkim_ok",
        Subject.DMARC: "dmarc_quarantine",
    }
    assert {one.status for one in found.values()} == {Status.OK}
    assert not any(one.record for one in found.values())


SPF, MX, DMARC = (DOMAIN, "TXT"), (DOMAIN, "MX"), (f"_dmarc.{DOMAIN}", "TXT")


@pytest.mark.parametrize(
    ("changes", "subject", "code", "status", "record"),
    [
        ({SPF: ""}, Subject.SPF, "spf_missing", Status.WARNING, "v=spf1 include:_spf-eu.ionos.com ~all"),
        ({SPF: ('"v=spf1 a ~all"', '"v=spf1 mx ~all"')}, Subject.SPF, "spf_several", Status.ERROR, ""),
        (
            {SPF: '"v=spf1 mx include:otro.example -all"', ("otro.example", "TXT"): '"v=spf1 -all"'},
            Subject.SPF,
            "spf_without_provider",
            Status.WARNING,
            "v=spf1 mx include:otro.example include:_spf-eu.ionos.com -all",
        ),
        ({SPF: '"v=spf1 include:_spf-eu.ionos.com +all"'}, Subject.SPF, "spf_open", Status.WARNING, ""),
        (
            {SPF: '"v=spf1 ' + " ".join(f"include:s{n}.example" for n in range(11)) + ' ~all"'},
            Subject.SPF,
            "spf_too_many_lookups",
            Status.ERROR,
            "",
        ),
        # An include that includes itself ends, and the provider behind two names is found.
        (
            {
                SPF: '"v=spf1 redirect=_spf.empresa.example"',
                ("_spf.empresa.example", "TXT"): '"v=spf1 include:_spf.empresa.example include:_spf-eu.ionos.com -all"',
            },
            Subject.SPF,
            "spf_ok",
            Status.OK,
            "",
        ),
        ({SPF: '"v=spf10 nothing of ours"'}, Subject.SPF, "spf_missing", Status.WARNING, "v=spf1 include"),
        ({DMARC: ""}, Subject.DMARC, "dmarc_missing", Status.WARNING, f"p=none; rua=mailto:facturas@{DOMAIN}"),
        ({DMARC: '"v=DMARC1; rua=mailto:a@b.example"'}, Subject.DMARC, "dmarc_broken", Status.ERROR, ""),
        ({DMARC: '"v=DMARC1; p=none"'}, Subject.DMARC, "dmarc_none", Status.OK, ""),
        (
            {(f"s1-ionos._domainkey.{DOMAIN}", "TXT"): '"v=DKIM1; p="'},
            Subject.DKIM,
            "dkim_not_found",
            Status.WARNING,
            "",
        ),
        ({MX: ""}, Subject.MX, "mx_missing", Status.WARNING, ""),
        ({MX: "0 ."}, Subject.MX, "mx_missing", Status.WARNING, ""),
        ({MX: "1 aspmx.l.google.com."}, Subject.MX, "mx_elsewhere", Status.OK, ""),
        ({SPF: None}, Subject.SPF, "dns_silent", Status.SKIPPED, ""),
    ],
)
def test_each_fault_has_its_sentence_and_what_can_be_added_its_record(
    changes: Mapping[tuple[str, str], str | tuple[str, ...] | None],
    subject: Subject,
    code: str,
    status: Status,
    record: str,
) -> None:
    """One fault at a time: the other three lines stay."""
    found = look(changes)

    assert (found[subject].code, found[subject].status) == (code, status)
    assert record in str(found[subject].record or "")
    assert bool(found[subject].record) == bool(record)
    assert len(found) == len(Subject)


def test_the_policy_of_the_registered_domain_counts_for_a_part_of_it() -> None:
    """RFC 7489 §6.6.3; and the record to add stands where it counts for all."""
    address = "facturas@correo.empresa.example"
    mx = {("correo.empresa.example", "MX"): "10 mx00.ionos.es."}

    assert look(mx, address)[Subject.DMARC].code == "dmarc_quarantine"
    missing = look({**mx, DMARC: ""}, address)[Subject.DMARC]
    assert missing.record is not None
    assert missing.record.name == "_dmarc.empresa.example"


def test_a_domain_that_does_not_exist_ends_it_and_a_providers_own_is_left_to_it() -> None:
    """Nothing is proposed that the person could not do."""
    nowhere = look({}, "ana@nadie.example")
    with dns_server({("gmail.com", "MX"): "5 gmail-smtp-in.l.google.com."}) as (server, _):
        gmail = list(check_domain("ana@gmail.com", "smtp.gmail.com", Records(server), Deadline.after(8)))

    assert [one.code for one in nowhere.values()] == ["no_such_domain"]
    assert not any(one.record for one in gmail)
    assert "of_provider" in {one.code for one in gmail}


def test_a_server_nobody_knows_is_not_claimed_to_be_in_the_policy() -> None:
    """Its include is not known: the line says what to ask."""
    assert look({}, host="smtp.hoster.example")[Subject.SPF].code == "spf_present"


def draft() -> MailAccountDraft:
    return MailAccountDraft(f"facturas@{DOMAIN}", smtp=ServerDraft(IONOS, 465, Security.SSL))


def test_the_card_shows_the_record_to_copy_and_keeps_it(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """A click looks; what was found stands there after a reload, and is «Modificado» for another address."""
    ana = sign_in(workbench, "ana")
    workbench.mail_account.save(ana, draft(), version=0)
    records = {key: value for key, value in GOOD.items() if key != DMARC}
    with dns_server(records) as (server, _):
        env = replace(workbench.mail_runs.environment(), records=Records(server))
        monkeypatch.setattr(workbench.mail_runs, "environment", lambda: env)
        app = open_page(monkeypatch, workbench, ana, "mail_account.py")
        folded = {button.key for button in app.button}
        app.session_state["cell_domain"] = True
        app.run()
        app.button(key="mail_account_domain_run").click().run()

    shown = "\n".join(each.value for each in app.markdown)
    assert not app.exception
    assert "mail_account_domain_run" not in folded
    assert "SPF correcto" in shown
    assert "DMARC sin publicar" in shown
    assert [each.value for each in app.code if "_dmarc" in each.value] == [
        f"_dmarc.{DOMAIN}  TXT  v=DMARC1; p=none; rua=mailto:facturas@{DOMAIN}"
    ]
    again = open_page(monkeypatch, workbench, ana, "mail_account.py")
    assert any("_dmarc" in each.value for each in again.code)
    run = workbench.deliverability.find_last(ana)
    assert run is not None
    assert run.fingerprint != domain_fingerprint(replace(draft(), user="otra@empresa.example"))


def test_what_the_domain_said_before_is_told_beside_what_it_says_now(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Two looks, the second without DMARC: both with their moment, and the one line that is another."""
    ana = sign_in(workbench, "ana")
    workbench.mail_account.save(ana, draft(), version=0)
    env = workbench.mail_runs.environment()
    for records in (dict(GOOD), {key: value for key, value in GOOD.items() if key != DMARC}):
        with dns_server(records) as (server, _):
            found = replace(env, records=Records(server))
            monkeypatch.setattr(workbench.mail_runs, "environment", lambda found=found: found)
            list(workbench.runs.follow(ana, workbench.deliverability.start(ana, draft())))
    app = open_page(monkeypatch, workbench, ana, "mail_account.py")
    app.session_state["mail_account_deliverability_history"] = True
    app.run()

    assert not app.exception
    shown = [each.value.replace("\\", "") for each in app.markdown]
    (line,) = [value for value in shown if "Antes:" in value]
    assert "Ahora: DMARC sin publicar" in line
    assert "SPF" not in line


def test_without_an_address_nothing_is_asked(workbench: Workbench) -> None:
    """What is missing is told beside the field."""
    ana = sign_in(workbench, "ana")
    with pytest.raises(InvalidInput) as refused:
        workbench.deliverability.start(ana, MailAccountDraft("ana"))

    assert [(each.field, each.code) for each in refused.value.problems] == [("user", "address_syntax")]
    assert workbench.deliverability.find_last(ana) is None
