"""From an address to proven servers, against DNS, HTTPS and mail servers on loopback, hostile ones included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from cgcore.cli import main
from cgcore.mail.account import Security, ServerDraft
from cgcore.mail.discovery.discover import discover
from cgcore.mail.discovery.result import Discovery, Reason, Source, SourceReport, Verdict
from cgcore.mail.network.dns import Records, dns_resolver
from cgcore.mail.preset import MailPreset
from cgcore.mail.request import Choice, ProbeEnvironment
from cgcore.mail.steps import Leg
from tests.servers.certificates import Certificate
from tests.servers.scripted import ScriptedServer, imap_server, rude_server, smtp_server
from tests.servers.web import Page, WebServer, web_server
from tests.unit.test_mail_resolver import dns_server

ADDRESS = "ana@empresa.test"
AUTOCONFIG = "autoconfig.empresa.test/mail/config-v1.1.xml"
DATABASE = "autoconfig.thunderbird.net/v1.1/empresa.test"
SECRETS = (b"AUTH", b"LOGIN", b"AUTHENTICATE")


@dataclass
class House:
    """Everything that answers for «empresa.test»; ``records`` and ``web.pages`` may be changed by a test."""

    env: ProbeEnvironment
    records: dict[tuple[str, str], str | None]
    asked: list[str]
    web: WebServer
    smtps: ScriptedServer
    submission: ScriptedServer
    imaps: ScriptedServer
    stranger: ScriptedServer

    def document(self, **more: str) -> bytes:
        """Return an autoconfig document for these servers."""
        values = {"imap": "imap.empresa.test", "user": "%EMAILADDRESS%", "head": "", "plain": "", **more}
        return (
            f"<?xml version='1.0'?>{values['head']}<clientConfig><emailProvider id='empresa.test'>{values['plain']}"
            f"<incomingServer type='imap'><hostname>{values['imap']}</hostname><port>{self.imaps.port}</port>"
            f"<socketType>SSL</socketType><username>{values['user']}</username></incomingServer>"
            f"<outgoingServer type='smtp'><hostname>smtp.empresa.test</hostname><port>{self.smtps.port}</port>"
            f"<socketType>SSL</socketType><username>{values['user']}</username></outgoingServer>"
            "</emailProvider></clientConfig>"
        ).encode()

    def heard(self) -> list[bytes]:
        """Return what was said to any mail server."""
        return [line for server in (self.smtps, self.submission, self.imaps, self.stranger) for line in server.lines]


def _written(folder: Path, name: str, authority: trustme.CA, *hosts: str) -> Certificate:
    issued = authority.issue_cert(*hosts)
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return Certificate(chain, key, "")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All servers, once for the module."""
    folder, authority = tmp_path_factory.mktemp("discovery"), trustme.CA()
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.cert_pem.bytes())
    own = _written(folder, "own", authority, "empresa.test", "*.empresa.test", DATABASE.partition("/")[0])
    other = _written(folder, "other", authority, "server7.hoster.test")
    records: dict[tuple[str, str], str | None] = {}
    with ExitStack() as stack:
        smtps = stack.enter_context(smtp_server("friendly", own, implicit_tls=True))
        submission = stack.enter_context(smtp_server("friendly", own))
        imaps = stack.enter_context(imap_server("friendly", own, implicit_tls=True))
        stranger = stack.enter_context(imap_server("friendly", other, implicit_tls=True))
        web = stack.enter_context(web_server(own, {}))
        dns, asked = stack.enter_context(dns_server(records))
        env = ProbeEnvironment(
            resolver=dns_resolver(dns),
            records=Records(dns),
            allowed_networks=(ip_network("127.0.0.0/8"),),
            ca_file=str(ca_file),
            neighbours={
                Leg.SMTP: (Choice(smtps.port, Security.SSL), Choice(submission.port, Security.STARTTLS)),
                Leg.IMAP: (Choice(imaps.port, Security.SSL),),
            },
            https_port=web.port,
        )
        yield House(env, records, asked, web, smtps, submission, imaps, stranger)


@pytest.fixture
def house(servers: House) -> House:
    """The servers, with a domain that has an exchanger and the usual names, and publishes nothing."""
    servers.records.clear()
    servers.records[("empresa.test", "MX")] = "10 mx.empresa.test."
    for name in ("smtp", "imap"):
        servers.records[(f"{name}.empresa.test", "A")] = "127.0.0.1"
    servers.web.pages.clear()
    servers.web.asked.clear()
    servers.asked.clear()
    return servers


def _source(found: Discovery, source: Source) -> SourceReport:
    return next(report for report in found.sources if report.source is source)


def _publish(house: House, page: Page) -> None:
    house.records[("autoconfig.empresa.test", "A")] = "127.0.0.1"
    house.web.pages[AUTOCONFIG] = page


def test_the_usual_names_are_proven_without_a_password(house: House) -> None:
    """Both legs, SSL before STARTTLS; the object has just the members that others rely on."""
    before = len(house.heard())
    found = discover(ADDRESS, house.env)
    told = json.loads(json.dumps(found.to_json()))

    assert found.verdict is Verdict.OK
    assert list(told) == [
        *("address", "domain", "verdict", "seconds", "reason", "suggestion", "smtp", "imap"),
        *("hints", "sources", "candidates"),
    ]
    assert told["smtp"] == {
        "host": "smtp.empresa.test", "port": house.smtps.port, "security": "ssl", "username": ADDRESS,
        "username_form": "address", "source": "guess", "confidence": "low", "proven": True, "confirm": False,
    }  # fmt: skip
    assert told["imap"]["host"] == "imap.empresa.test"
    assert [source["source"] for source in told["sources"]] == [str(source) for source in Source]
    assert {candidate["status"] for candidate in told["candidates"]} <= {"proven", "failed", "forbidden", "not_tried"}
    heard = house.heard()[before:]
    assert any(line.upper().startswith(b"EHLO") for line in heard)
    assert not any(word in line.upper().split()[:2] for line in heard for word in SECRETS)
    assert not any(b"ana" in line for line in heard)


def test_what_the_domain_publishes_beats_the_usual_names(house: House) -> None:
    """Only the domain's own host is told the address; a user form and an unterminated variable are understood."""
    _publish(house, Page(house.document(imap="imap.empresa.test", user="%EMAILLOCALPART")))
    found = discover(ADDRESS, house.env)

    assert found.verdict is Verdict.OK
    assert {server.offer.source for server in found.legs.values()} == {Source.AUTOCONFIG}
    assert {server.username for server in found.legs.values()} == {"ana"}
    assert [asked for asked in house.web.asked if "ana" in asked] == [f"{AUTOCONFIG}?emailaddress=ana%40empresa.test"]


def _preset(house: House, *, host: str = "correo.hoster.test") -> MailPreset:
    return MailPreset(
        "empresa.test",
        ServerDraft("smtp.empresa.test", house.smtps.port, Security.SSL),
        ServerDraft(host, house.imaps.port, Security.SSL),
    )


def test_what_the_company_has_kept_comes_first_and_asks_nobody_else(house: House) -> None:
    """Proven live like everything; nothing is looked up but its own names, and the domain's host is told no address."""
    _publish(house, Page(house.document()))
    found = discover("ana@ventas.empresa.test", house.env, presets=[_preset(house, host="imap.empresa.test")])

    assert found.verdict is Verdict.OK
    assert {server.offer.source for server in found.legs.values()} == {Source.COMPANY}
    assert not any(server.offer.confirm for server in found.legs.values())
    assert {report.source for report in found.sources if report.status == "found"} == {Source.COMPANY}
    assert house.web.asked == []
    assert not any("autoconfig" in asked or asked.startswith("_") for asked in house.asked)


def test_servers_of_the_company_that_no_longer_work_give_way_to_what_the_domain_says(house: House) -> None:
    """The leg that still works stays the company's."""
    found = discover(ADDRESS, house.env, presets=[_preset(house)])

    assert found.verdict is Verdict.OK
    assert found.legs[Leg.SMTP].offer.source is Source.COMPANY
    assert (found.legs[Leg.IMAP].offer.source, found.legs[Leg.IMAP].offer.host) == (Source.GUESS, "imap.empresa.test")
    assert discover(ADDRESS, house.env).sources[0].status == "off"


def test_a_plain_server_is_never_proposed(house: House) -> None:
    """However the domain publishes it."""
    plain = (
        f"<incomingServer type='imap'><hostname>plain.empresa.test</hostname><port>{house.imaps.port}</port>"
        "<socketType>plain</socketType><username>x</username></incomingServer>"
    )
    _publish(house, Page(house.document(plain=plain)))
    found = discover(ADDRESS, house.env)

    assert found.legs[Leg.IMAP].offer.host == "imap.empresa.test"
    assert all(each.offer.security.encrypted for each in found.candidates)
    assert "plain.empresa.test" not in {each.offer.host for each in found.candidates}


_BOMB = '<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("page", "status", "detail"),
    [
        (Page(_BOMB.encode() + b"<clientConfig/>"), "refused", "doctype"),
        (Page(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'), "refused", "doctype"),
        (Page(b"<a>" + b"x" * 70_000 + b"</a>"), "refused", "too_big"),
        (Page(b"<a>" * 50 + b"</a>" * 50), "refused", "depth"),
        (Page(b"<clientConfig>"), "error", "xml"),
        (Page(b"<!doctype html><p>hola"), "nothing", "web_page"),
        (Page(status=500), "error", "http_500"),
        (Page(status=302, location=f"https://{AUTOCONFIG}"), "refused", "redirects"),
        (Page(status=301, location=f"http://{AUTOCONFIG}"), "refused", "not_https"),
        (Page(status=301, location="https://autoconfig.empresa.test:22/"), "refused", "port"),
        (Page(status=301, location="https://169.254.169.254/latest/meta-data"), "refused", "forbidden_target"),
        (Page(status=307, location="https://u:p@autoconfig.empresa.test/x"), "refused", "not_https"),
    ],
    ids=["bomb", "outside", "giant", "deep", "broken", "web", "500", "loop", "http", "port", "metadata", "user"],
)
def test_a_hostile_document_is_refused_and_harms_nothing(house: House, page: Page, status: str, detail: str) -> None:
    """What it would have said is found by the other sources."""
    _publish(house, page)
    found = discover(ADDRESS, house.env)
    report = _source(found, Source.AUTOCONFIG)

    assert (report.status, report.detail) == (status, detail)
    assert found.verdict is Verdict.OK
    assert len(house.web.asked) < 10


def test_a_redirect_to_somebody_else_loses_the_address(house: House) -> None:
    """The address is for the domain's own host."""
    house.records[("conf.hoster.test", "A")] = "127.0.0.1"
    location = "https://conf.hoster.test/m.xml?emailaddress=ana%40empresa.test"
    _publish(house, Page(status=302, location=location))
    found = discover(ADDRESS, house.env)

    # Its certificate is for another name, so nothing is asked of it; the query would have been gone besides.
    assert _source(found, Source.AUTOCONFIG).detail == "certificate"
    assert not any("conf.hoster.test" in asked for asked in house.web.asked)


def test_a_foreign_host_that_an_unsigned_answer_names_asks_for_a_yes(house: House) -> None:
    """SRV records are unsigned; what they name is proven, and still somebody else's."""
    house.records[("mail.hoster.test", "A")] = house.records[("server7.hoster.test", "A")] = "127.0.0.1"
    house.records[("_imaps._tcp.empresa.test", "SRV")] = f"0 1 {house.stranger.port} server7.hoster.test."
    house.records[("_submissions._tcp.empresa.test", "SRV")] = "0 0 0 ."
    found = discover(ADDRESS, house.env)
    imap, smtp = found.legs[Leg.IMAP], found.legs[Leg.SMTP]

    assert (imap.offer.host, imap.offer.source, imap.offer.confirm) == ("server7.hoster.test", Source.SRV, True)
    assert (smtp.offer.source, smtp.offer.confirm) == (Source.GUESS, False)


def test_a_certificate_of_another_name_offers_that_name(house: House) -> None:
    """Read from the very handshake that failed, and only where the name leads to the same machine."""
    house.records[("server7.hoster.test", "A")] = "127.0.0.1"
    env = replace(
        house.env,
        neighbours={**house.env.neighbours, Leg.IMAP: (Choice(house.stranger.port, Security.SSL),)},
    )
    before = house.stranger.connections
    found = discover(ADDRESS, env)
    imap = found.legs[Leg.IMAP]
    wrong = next(each for each in found.candidates if each.offer.host == "imap.empresa.test")

    assert wrong.key == "cert_wrong_name"
    assert (imap.offer.host, imap.offer.source) == ("server7.hoster.test", Source.CERTIFICATE)
    assert imap.offer.confirm
    assert house.stranger.connections - before == 2

    del house.records[("server7.hoster.test", "A")]
    assert Leg.IMAP not in discover(ADDRESS, env).legs


def test_nothing_waits_for_a_dead_source(house: House) -> None:
    """A host that takes the connection and says nothing keeps nobody from what the others have found."""
    with rude_server("silence") as silent:
        house.records[("autoconfig.empresa.test", "A")] = "127.0.0.1"
        found = discover(ADDRESS, replace(house.env, https_port=silent.port), seconds=0.7)

    assert found.verdict is Verdict.OK
    assert _source(found, Source.AUTOCONFIG).status == "timeout"


def test_the_public_database_is_asked_only_where_that_is_switched_on(house: House) -> None:
    """It would learn every domain that somebody has mail at; of the address it is told no more than that."""
    house.records[(DATABASE.partition("/")[0], "A")] = "127.0.0.1"
    house.web.pages[DATABASE] = Page(house.document())
    off = discover(ADDRESS, house.env)
    assert _source(off, Source.ISPDB).status == "off"
    assert not any(DATABASE in asked for asked in house.web.asked)
    assert not any("thunderbird" in asked for asked in house.asked)

    on = discover(ADDRESS, replace(house.env, ispdb=True))
    assert _source(on, Source.ISPDB).status == "found"
    assert [asked for asked in house.web.asked if "thunderbird" in asked] == [DATABASE]


def test_a_proxy_of_the_environment_is_not_gone_through(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would see where a person has mail, and connect where the policy forbids."""
    _publish(house, Page(house.document()))
    with rude_server("silence") as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        found = discover(ADDRESS, house.env)

        assert _source(found, Source.AUTOCONFIG).status == "found"
        assert proxy.connections == 0


def test_what_the_policy_forbids_is_not_connected_to(house: House) -> None:
    """Names of the domain that lead inside."""
    _publish(house, Page(house.document()))
    # A server of its own: the others may still be hearing what an earlier search has left.
    with rude_server("silence") as inside:
        ways = {leg: (Choice(inside.port, Security.SSL),) for leg in Leg}
        found = discover(ADDRESS, replace(house.env, allowed_networks=(), neighbours=ways))

    assert (found.verdict, found.reason) == (Verdict.NONE, Reason.NOTHING_PROVEN)
    assert "forbidden" in {each.status for each in found.candidates}
    assert _source(found, Source.AUTOCONFIG).detail == "forbidden_target"
    assert inside.connections == 0
    assert house.web.asked == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ana", "invalid_address"),
        ("ana@sin-punto", "invalid_address"),
        ("ana@no.hay.test", "no_such_domain"),
        ("ana@nulo.test", "no_mail_service"),
        ("ana@caido.test", "dns_temporary"),
        ("ana@vacio.test", "no_mail_service"),
        ("ana@proton.me", "incompatible"),
    ],
)
def test_why_there_is_nothing_is_told_by_its_kind(house: House, address: str, reason: str) -> None:
    """A slip in the address, a domain without mail, a resolver that is away, a provider that cannot be used."""
    house.records[("nulo.test", "MX")] = "0 ."
    house.records[("vacio.test", "TXT")] = '"x"'
    for name in ("caido.test", *(f"{first}.caido.test" for first in ("smtp", "imap", "mail", "autoconfig"))):
        for kind in ("MX", "A", "AAAA", "TXT"):
            house.records[(name, kind)] = None
    found = discover(address, house.env)

    assert (found.verdict, found.reason) == (Verdict.NONE, reason)
    assert found.legs == {}
    if reason == "incompatible":
        assert [hint["code"] for hint in found.to_json()["hints"]] == ["incompatible"]


def test_a_slip_in_a_known_domain_is_suggested(house: House) -> None:
    """Beside whatever was found for what was typed."""
    assert discover("ana@gmial.com", house.env).suggestion == "ana@gmail.com"
    assert discover(ADDRESS, house.env).suggestion == ""


@pytest.mark.parametrize(("arguments", "code"), [(["ana"], 1), ([], 2), (["--nada", "x"], 2)])
def test_the_command_says_by_its_exit_code_what_it_found(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    """One object on standard output, or bad usage."""
    with pytest.raises(SystemExit) as ended:
        main(["discover", *arguments, "--json"])

    assert ended.value.code == code
    if code == 1:
        assert json.loads(capsys.readouterr().out)["reason"] == "invalid_address"
