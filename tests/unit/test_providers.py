"""The table of mail providers and the ways to find one."""

from __future__ import annotations

import re

import pytest

from cgcore.mail.account import Security
from cgcore.mail.providers import (
    Provider,
    Server,
    find_mx_filter,
    find_provider,
    find_provider_by_domain,
    find_provider_by_host,
    find_provider_by_mx,
    get_provider,
    list_providers,
)

EXPECTED = {
    465: Security.SSL,
    993: Security.SSL,
    587: Security.STARTTLS,
    143: Security.STARTTLS,
    25: Security.STARTTLS,
    2525: Security.STARTTLS,
    2587: Security.STARTTLS,
}
# Known exceptions, all among the alternatives: access providers that still serve in the clear.
ODD = {
    ("namecheap_shared", 26),
    ("movistar", 143),
    ("telefonica_net", 25),
    ("telefonica_net", 143),
    ("terra_es", 25),
    ("terra_es", 143),
    ("orange_es", 25),
}
HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}")


def each_server() -> list[tuple[Provider, Server]]:
    return [(provider, server) for provider in list_providers() for server in provider.servers]


def test_ids_and_domains_belong_to_one_provider() -> None:
    """No row hides another."""
    ids = [provider.id for provider in list_providers()]
    domains = [domain for provider in list_providers() for domain in provider.domains]

    assert len(ids) > 100
    assert len(set(ids)) == len(ids)
    assert len(set(domains)) == len(domains)


def test_no_text_of_the_table_has_stray_spaces() -> None:
    """A blank in a host name would be a fault that nobody sees."""
    for provider in list_providers():
        texts = [provider.id, provider.name, *provider.domains, *provider.mx_suffixes, provider.notes]
        texts += [server.host for server in provider.servers]
        assert all(text == " ".join(text.split()) for text in texts), provider.id
        assert all(text == text.lower() for text in (*provider.domains, *provider.mx_suffixes)), provider.id


def test_every_host_is_a_valid_name_once_its_placeholders_are_filled() -> None:
    """Placeholders are the four that are known, the rest is a host name."""
    for provider, server in each_server():
        filled = server.for_domain("empresa.example").host
        filled = filled.replace("{server}", "srv1.hosting.example").replace("{region}", "eu-west-1")
        assert HOST.fullmatch(filled), (provider.id, server.host)


def test_port_and_security_agree() -> None:
    """SSL on 465 and 993, STARTTLS on the others, save the known exceptions."""
    wrong = [
        (provider.id, server.port, server.security.value)
        for provider, server in each_server()
        if (provider.id, server.port) not in ODD and EXPECTED.get(server.port) is not server.security
    ]

    assert wrong == []


def test_what_is_proposed_first_is_always_encrypted() -> None:
    """In the clear is never the proposal."""
    for provider in list_providers():
        proposed = [server for server in (provider.smtp, provider.imap) if server]
        assert all(server.security.encrypted for server in proposed), provider.id


def test_a_provider_is_found_by_its_address_domain_only() -> None:
    """The domain matches whole; only tenants of Microsoft and Amazon match by their end."""
    assert get_provider("gmail") == find_provider_by_domain("GMAIL.com.")
    assert find_provider_by_domain("empresa.onmicrosoft.com") == get_provider("microsoft365")
    assert find_provider_by_domain("mail.gmail.com") is None
    assert find_provider_by_domain("notgmail.com") is None
    assert find_provider_by_domain("") is None


@pytest.mark.parametrize(
    ("mx", "provider"),
    [
        ("aspmx.l.google.com", "google_workspace"),
        ("empresa-es.mail.protection.outlook.com.", "microsoft365"),
        ("hotmail-com.olc.protection.outlook.com", "outlook_com"),
        ("mx3.mail.ovh.net", "ovh"),
        ("mx.evil-google.com", ""),
        ("mx1.pphosted.com", ""),
        ("mail.empresa.example", ""),
    ],
)
def test_a_provider_is_found_by_the_end_of_its_mx(mx: str, provider: str) -> None:
    """The longest suffix wins, cut at a dot; a stranger and a filter are nobody."""
    found = find_provider_by_mx(mx)

    assert (found.id if found else "") == provider


def test_a_filter_in_front_of_a_mailbox_is_known_as_such() -> None:
    """Such an MX does not tell who keeps the mailbox."""
    found = find_mx_filter("mx1-eu1.ppe-hosted.com")

    assert found is not None
    assert found.name == "Proofpoint"
    assert find_mx_filter("aspmx.l.google.com") is None


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("smtp.gmail.com", "gmail"),
        ("SMTP.Office365.com", "microsoft365"),
        ("email-smtp.eu-west-1.amazonaws.com", "amazon_ses"),
        ("empresa-es.correoseguro.dinaserver.com", "dinahosting"),
        ("mail.empresa.example", ""),
        ("smtp.gmail.com.evil.example", ""),
        ("", ""),
    ],
)
def test_a_provider_is_found_by_its_server_name(host: str, provider: str) -> None:
    """Placeholders in front match; a name that ends in the customer's own domain tells nothing."""
    found = find_provider_by_host(host)

    assert (found.id if found else "") == provider


def test_every_complete_host_leads_back_to_a_provider_that_offers_it() -> None:
    """Whoever comes first in the table, it is one that has this server."""
    for provider, server in each_server():
        if server.is_complete:
            found = find_provider_by_host(server.host)
            assert found is not None, provider.id
            assert server.host in [other.host for other in found.servers]


def test_an_unknown_id_is_told_apart() -> None:
    """find_ returns None, get_ raises."""
    assert find_provider("nobody") is None
    with pytest.raises(KeyError):
        get_provider("nobody")
