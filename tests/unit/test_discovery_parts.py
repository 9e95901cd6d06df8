"""The parts of discovery that need no connection."""

from __future__ import annotations

import pytest

from cgcore.mail.account import Security
from cgcore.mail.discovery.discover import known_hints
from cgcore.mail.discovery.result import Source
from cgcore.mail.discovery.sources import Target, ask_mx, ask_srv, offers_of_provider
from cgcore.mail.network.dns import MailExchanger, Records, Service
from cgcore.mail.network.public_suffix import is_own, registrable_domain
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.network.tls import bears_name
from cgcore.mail.providers import get_provider, list_providers
from cgcore.mail.request import ProbeEnvironment
from cgcore.mail.steps import Leg

TARGET = Target("ana@empresa.com.es", "empresa.com.es")


class Known(Records):
    """Records from a table."""

    def __init__(self, *, mx: str = "", srv: dict[str, Service] | None = None) -> None:
        super().__init__()
        self._mx, self._srv = mx, srv or {}

    def mx(self, domain: str, deadline: Deadline) -> list[MailExchanger]:
        del domain, deadline
        return [MailExchanger(10, self._mx)] if self._mx else []

    def srv(self, name: str, deadline: Deadline) -> list[Service]:
        del deadline
        found = self._srv.get(name.split(".", maxsplit=1)[0])
        return [found] if found else []

    def txt(self, name: str, deadline: Deadline) -> list[str]:
        del name, deadline
        return ["v=spf1 include:spf.protection.outlook.com -all"]


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("mail.empresa.com.es", "empresa.com.es"),
        ("a.b.co.uk", "b.co.uk"),
        ("mx1.mail.ovh.net", "ovh.net"),
        ("IMAP.Empresa.es.", "empresa.es"),
    ],
)
def test_a_registrable_domain_is_known_by_the_list_and_not_by_dots(name: str, domain: str) -> None:
    """Two labels are not always enough."""
    assert registrable_domain(name) == domain
    assert is_own(name, domain)
    assert not is_own("otra.com.es", "empresa.com.es")


@pytest.mark.parametrize(
    ("names", "wanted", "fits"),
    [
        (["mail.empresa.es"], "MAIL.empresa.es", True),
        (["*.empresa.es"], "mail.empresa.es", True),
        (["*.empresa.es"], "a.mail.empresa.es", False),
        (["*.empresa.es"], "empresa.es", False),
        (["*.es"], "empresa.es", False),
        (["127.0.0.1"], "127.0.0.1", True),
        (["ma*.empresa.es", "otra.es"], "mail.empresa.es", False),
        ([], "mail.empresa.es", False),
    ],
)
def test_a_certificate_is_for_the_names_it_bears(names: list[str], wanted: str, fits: bool) -> None:
    """A wildcard stands for one whole label."""
    assert bears_name(names, wanted) is fits


def test_srv_records_are_read_with_their_pitfalls() -> None:
    """A submission record with 465 means SSL, plain IMAP means STARTTLS, «.» means no."""
    records = Known(
        srv={
            "_submission": Service(0, 1, "smtp.empresa.com.es", 465),
            "_imap": Service(0, 1, "imap.otra.com.es", 143),
            "_imaps": Service(0, 0, "", 0),
        }
    )
    offers = ask_srv(TARGET, ProbeEnvironment(records=records), Deadline.after(5)).offers

    assert [(each.leg, each.host, each.security, each.confirm) for each in offers] == [
        (Leg.SMTP, "smtp.empresa.com.es", Security.SSL, False),
        (Leg.IMAP, "imap.otra.com.es", Security.STARTTLS, True),
    ]


@pytest.mark.parametrize(
    ("exchanger", "provider", "confirm"),
    [
        ("aspmx.l.google.com", "google_workspace", False),
        ("empresa-es.mail.protection.outlook.com", "microsoft365", False),
        ("mx-eu.mail.am0.yahoodns.net", "yahoo", True),
        ("mxa-001.pphosted.com", "microsoft365", True),
    ],
)
def test_an_exchanger_tells_the_provider(exchanger: str, provider: str, confirm: bool) -> None:
    """A suffix that two mailboxes share, and a filter in front of one, need a yes."""
    answer = ask_mx(TARGET, ProbeEnvironment(records=Known(mx=exchanger)), Deadline.after(5))

    assert answer.provider is not None
    assert answer.provider.id == provider
    assert {each.confirm for each in answer.offers} == {confirm}
    assert {each.source for each in answer.offers} == {Source.MX}


def test_an_exchanger_of_a_stranger_gives_guesses_that_need_a_yes() -> None:
    """On the host itself, and on the usual names of whoever owns it; never in clear."""
    answer = ask_mx(TARGET, ProbeEnvironment(records=Known(mx="mx1.hoster.co.uk")), Deadline.after(5))
    hosts = {each.host for each in answer.offers}

    assert hosts == {"mx1.hoster.co.uk", "smtp.hoster.co.uk", "imap.hoster.co.uk", "mail.hoster.co.uk"}
    assert all(each.confirm and each.security.encrypted for each in answer.offers)


def test_every_provider_is_offered_encrypted_and_with_a_host_of_its_own() -> None:
    """Placeholders that only the hoster can fill are left out."""
    for provider in list_providers():
        for offer in offers_of_provider(provider, TARGET, Source.TABLE):
            assert offer.security.encrypted
            assert "{" not in offer.host
            assert offer.host == offer.host.strip().lower()


@pytest.mark.parametrize(
    ("address", "codes"),
    [
        ("ana@gmail.com", ["application_password"]),
        ("ana@outlook.com", ["oauth_only"]),
        ("ana@gmx.net", ["imap_must_be_enabled"]),
        ("ana@proton.me", ["incompatible"]),
        ("ana@empresa.com.es", []),
        ("ana", []),
    ],
)
def test_what_a_known_domain_wants_is_told_without_a_network(address: str, codes: list[str]) -> None:
    """As soon as the domain has been typed."""
    provider, hints = known_hints(address)

    assert hints == codes
    assert (provider is not None) == bool(codes)


def test_the_proposed_server_of_a_provider_comes_first() -> None:
    """SSL before STARTTLS on the proposed host, other hosts behind."""
    offers = [
        each for each in offers_of_provider(get_provider("google_workspace"), TARGET, Source.MX) if each.leg is Leg.SMTP
    ]

    assert [(each.host, each.port) for each in offers][:2] == [("smtp.gmail.com", 465), ("smtp.gmail.com", 587)]
