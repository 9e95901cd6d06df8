"""The sources of discovery: each asks one place what servers a domain has, within its own time; nothing is raised.

Apart from :mod:`cgcore.mail.discovery.discover`: each source is read and tried alone, the search only weighs them.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from cgcore.mail.account import Security
from cgcore.mail.discovery.autoconfig import MalformedConfigError, parse_autoconfig
from cgcore.mail.discovery.https import Fetched, fetch
from cgcore.mail.discovery.result import Confidence, Offer, Reason, Source, SourceStatus
from cgcore.mail.network.dns import MailExchanger
from cgcore.mail.network.public_suffix import is_own, registrable_domain
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.preset import MailPreset, choose_preset
from cgcore.mail.providers import (
    Provider,
    find_mx_filter,
    find_provider,
    find_provider_by_domain,
    find_provider_by_host,
    find_provider_by_mx,
)
from cgcore.mail.request import ProbeEnvironment
from cgcore.mail.steps import Leg

__all__ = [
    "Answer",
    "Target",
    "ask_autoconfig",
    "ask_company",
    "ask_ispdb",
    "ask_mx",
    "ask_srv",
    "ask_table",
    "ask_well_known",
    "guess",
    "offers_of_provider",
]

_DNS = 2.0  # seconds for one question
_HTTPS = 3.0  # seconds for one document
_ISPDB = "https://autoconfig.thunderbird.net/v1.1/"
_SRV = (
    ("_submissions._tcp", Leg.SMTP, Security.SSL),
    ("_imaps._tcp", Leg.IMAP, Security.SSL),
    ("_submission._tcp", Leg.SMTP, Security.STARTTLS),
    ("_imap._tcp", Leg.IMAP, Security.STARTTLS),
)
_IMPLICIT_PORTS = {Leg.SMTP: 465, Leg.IMAP: 993}
_SPF_OWNERS = {"_spf.google.com": "google_workspace", "spf.protection.outlook.com": "microsoft365"}
_REGION = re.compile(r"^inbound-smtp\.([a-z0-9-]+)\.amazonaws\.com$")


@dataclass(frozen=True, slots=True)
class Target:
    """Whose settings are sought: the address, and its domain in ASCII."""

    address: str
    domain: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source said. ``reason`` ends the search: there is nothing to find, or nothing that could be used."""

    status: SourceStatus
    offers: Sequence[Offer] = ()
    detail: str = ""
    provider: Provider | None = None
    reason: Reason | None = None


def offers_of_provider(provider: Provider, target: Target, source: Source, *, confirm: bool = False) -> list[Offer]:
    """Return the encrypted servers of a provider's row, the proposed host first, SSL before STARTTLS."""
    sure = provider.confidence in ("A", "B")
    found: list[Offer] = []
    for leg, first, others in (
        (Leg.SMTP, provider.smtp, provider.smtp_alternatives),
        (Leg.IMAP, provider.imap, provider.imap_alternatives),
    ):
        servers = [server.for_domain(target.domain) for server in ((first,) if first else ()) + others]
        usable = [server for server in servers if server.is_complete and server.security.encrypted]
        form = (provider.imap_username_form if leg is Leg.IMAP else "") or provider.username_form
        found += [
            Offer(
                leg,
                server.host,
                server.port,
                server.security,
                source,
                Confidence.HIGH if sure else Confidence.LOW,
                form,
                provider.fixed_username if form == "fixed" else "",
                confirm,
                provider.id,
            )
            for server in sorted(usable, key=lambda one: (one.host != usable[0].host, not one.security.implicit))
        ]
    return found


def ask_company(target: Target, presets: Sequence[MailPreset]) -> Answer:
    """Return what the company has kept for the domain; no network."""
    preset = choose_preset(presets, target.domain)
    if preset is None:
        return Answer(SourceStatus.NOTHING)
    # An administrator has named them, so nobody is asked again, foreign or not.
    offers = [
        Offer(
            leg,
            server.host,
            server.port_number(leg) or 0,
            server.security,
            Source.COMPANY,
            Confidence.HIGH,
            preset.username_form,
            provider=provider.id if (provider := find_provider_by_host(server.host)) else "",
        )
        for leg, server in ((Leg.SMTP, preset.smtp), (Leg.IMAP, preset.imap))
    ]
    return Answer(SourceStatus.FOUND, offers, preset.domain)


def ask_table(target: Target) -> Answer:
    """Return what the own table says about the domain; no network."""
    provider = find_provider_by_domain(target.domain)
    return _of_provider(provider, target, Source.TABLE) if provider else Answer(SourceStatus.NOTHING)


def _of_provider(
    provider: Provider, target: Target, source: Source, *, confirm: bool = False, detail: str = ""
) -> Answer:
    if provider.incompatible:
        return Answer(SourceStatus.FOUND, (), detail or provider.id, provider, Reason.INCOMPATIBLE)
    offers = offers_of_provider(provider, target, source, confirm=confirm)
    return Answer(SourceStatus.FOUND if offers else SourceStatus.NOTHING, offers, detail or provider.id, provider)


def ask_mx(target: Target, env: ProbeEnvironment, deadline: Deadline) -> Answer:
    """Return what the mail exchangers tell: a provider's row, or hosts to guess from; or that there is no mail here."""
    try:
        exchangers = env.records.mx(target.domain, deadline.shorter(_DNS))
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            return Answer(SourceStatus.ERROR, detail="dns")
        return Answer(SourceStatus.NOTHING, detail="no_domain", reason=Reason.NO_SUCH_DOMAIN)
    except OSError:
        return Answer(SourceStatus.TIMEOUT, detail="dns")
    hosts = [exchanger.host for exchanger in exchangers if exchanger.host]
    if exchangers and not hosts:
        return Answer(SourceStatus.NOTHING, detail="null_mx", reason=Reason.NO_MAIL_SERVICE)
    if not hosts:
        return Answer(SourceStatus.NOTHING, detail="no_mx")
    return _of_exchangers(exchangers, hosts, target, env, deadline)


def _of_exchangers(
    exchangers: Sequence[MailExchanger], hosts: Sequence[str], target: Target, env: ProbeEnvironment, deadline: Deadline
) -> Answer:
    del exchangers
    for host in hosts:
        if provider := find_provider_by_mx(host):
            return _with_region(_of_provider(provider, target, Source.MX, confirm=_is_shared(host), detail=host), host)
    if any(find_mx_filter(host) for host in hosts):
        # A filter stands in front: who keeps the mailbox is told, not proven, by SPF and autodiscover.
        if provider := _behind_filter(target, env, deadline):
            return _of_provider(provider, target, Source.MX, confirm=True, detail=hosts[0])
        return Answer(SourceStatus.NOTHING, detail=hosts[0])
    return Answer(SourceStatus.NOTHING, list(_guesses_from(hosts[0], target, env)), hosts[0])


def _is_shared(host: str) -> bool:
    """Whether one suffix belongs to two mailboxes, so that only the person knows which (Yahoo and AOL)."""
    return host.endswith(".yahoodns.net")


def _with_region(answer: Answer, host: str) -> Answer:
    """Fill the region of the exchanger into the hosts of its provider."""
    found = _REGION.match(host)
    if not (found and answer.provider):
        return answer
    filled = [
        replace(server, host=server.host.replace("{region}", found[1]))
        for server in answer.provider.servers
        if "{region}" in server.host
    ]
    offers = [
        Offer(leg, server.host, server.port, server.security, Source.MX, Confidence.LOW, provider=answer.provider.id)
        for server in filled
        for leg in (Leg.IMAP if server.host.startswith("imap") else Leg.SMTP,)
        if server.security.encrypted
    ]
    return replace(answer, status=SourceStatus.FOUND if offers else answer.status, offers=[*answer.offers, *offers])


def _behind_filter(target: Target, env: ProbeEnvironment, deadline: Deadline) -> Provider | None:
    try:
        texts = " ".join(env.records.txt(target.domain, deadline.shorter(_DNS)))
        for include, owner in _SPF_OWNERS.items():
            if f"include:{include}" in texts:
                return find_provider(owner)
        if env.records.cname(f"autodiscover.{target.domain}", deadline.shorter(_DNS)) == "autodiscover.outlook.com":
            return find_provider("microsoft365")
    except OSError:
        return None
    return None


def ask_srv(target: Target, env: ProbeEnvironment, deadline: Deadline) -> Answer:
    """Return what the domain's SRV records name (RFC 6186, RFC 8314). They are unsigned: a foreign host needs a yes."""
    from concurrent.futures import ThreadPoolExecutor

    limit = deadline.shorter(_DNS)
    with ThreadPoolExecutor(len(_SRV), thread_name_prefix="srv") as pool:
        asking = [pool.submit(_srv_offers, row, target, env, limit) for row in _SRV]
        found = [each.result() for each in asking]
    offers = [offer for _, offers in found for offer in offers]
    if offers:
        return Answer(SourceStatus.FOUND, sorted(offers, key=lambda offer: not offer.security.implicit))
    return Answer(next((status for status, _ in found if status is not SourceStatus.NOTHING), SourceStatus.NOTHING))


def _srv_offers(
    row: tuple[str, Leg, Security], target: Target, env: ProbeEnvironment, deadline: Deadline
) -> tuple[SourceStatus, list[Offer]]:
    prefix, leg, security = row
    try:
        services = env.records.srv(f"{prefix}.{target.domain}", deadline)
    except socket.gaierror as error:
        return (SourceStatus.ERROR if error.errno == socket.EAI_AGAIN else SourceStatus.NOTHING), []
    except OSError:
        return SourceStatus.TIMEOUT, []
    return SourceStatus.NOTHING, [
        Offer(
            leg,
            service.host,
            service.port,
            Security.SSL if service.port == _IMPLICIT_PORTS[leg] else security,
            Source.SRV,
            Confidence.MEDIUM,
            confirm=not is_own(service.host, target.domain),
        )
        for service in services[:4]
        if service.host
    ]


def ask_autoconfig(target: Target, env: ProbeEnvironment, deadline: Deadline) -> Answer:
    """Return what the domain's own autoconfig host says; only it gets to see the address."""
    url = f"https://autoconfig.{target.domain}/mail/config-v1.1.xml?emailaddress={quote(target.address)}"
    return _document(fetch(url, env, deadline.shorter(_HTTPS)), target, Source.AUTOCONFIG)


def ask_well_known(target: Target, env: ProbeEnvironment, deadline: Deadline) -> Answer:
    """Return what the domain's web host says at the well-known places; the address is not told."""
    limit = deadline.shorter(_HTTPS)
    answer = Answer(SourceStatus.NOTHING)
    for path in ("/.well-known/autoconfig/mail/config-v1.1.xml", "/.well-known/mail-v1.xml"):
        answer = _document(fetch(f"https://{target.domain}{path}", env, limit), target, Source.WELL_KNOWN)
        if answer.status is not SourceStatus.NOTHING:
            return answer
    return answer


def ask_ispdb(target: Target, env: ProbeEnvironment, deadline: Deadline) -> Answer:
    """Return what the Thunderbird database says; it learns the domain, so it is off unless switched on."""
    if not env.ispdb:
        return Answer(SourceStatus.OFF, detail="switched_off")
    return _document(fetch(_ISPDB + quote(target.domain), env, deadline.shorter(_HTTPS)), target, Source.ISPDB)


def _document(fetched: Fetched, target: Target, source: Source) -> Answer:
    if fetched.outcome != "found":
        return Answer(SourceStatus(fetched.outcome), detail=fetched.detail)
    try:
        servers = parse_autoconfig(fetched.body, target.domain)
    except MalformedConfigError as error:
        # A web page in place of the document is how many servers say that there is none.
        if _is_page(fetched.body):
            return Answer(SourceStatus.NOTHING, detail="web_page")
        return Answer(SourceStatus.REFUSED if str(error) != "xml" else SourceStatus.ERROR, detail=str(error))
    offers = [
        Offer(
            each.leg, each.host, each.port, each.security, source, Confidence.MEDIUM, each.username_form, each.username
        )
        for each in servers
    ]
    ranked = sorted(offers, key=lambda offer: not offer.security.implicit)
    return Answer(SourceStatus.FOUND if offers else SourceStatus.NOTHING, ranked, fetched.url)


def _is_page(body: bytes) -> bool:
    head = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    return head.startswith((b"<!doctype html", b"<html"))


def guess(target: Target, env: ProbeEnvironment) -> Answer:
    """Return the usual names of mail servers in the domain; no network."""
    domain = target.domain
    names = {
        Leg.SMTP: (f"smtp.{domain}", f"mail.{domain}", domain),
        Leg.IMAP: (f"imap.{domain}", f"mail.{domain}", domain),
    }
    return Answer(
        SourceStatus.NOTHING,
        list(_named(names[Leg.SMTP], Leg.SMTP, env)) + list(_named(names[Leg.IMAP], Leg.IMAP, env)),
    )


def _guesses_from(exchanger: str, target: Target, env: ProbeEnvironment) -> Iterator[Offer]:
    """Yield guesses on the exchanger and on the usual names of whoever owns it; a foreign one needs a yes."""
    foreign = not is_own(exchanger, target.domain)
    owner = registrable_domain(exchanger)
    for leg, first in ((Leg.SMTP, "smtp"), (Leg.IMAP, "imap")):
        names = [exchanger, *([f"{first}.{owner}", f"mail.{owner}"] if foreign else [])]
        yield from _named(names, leg, env, confirm=foreign)


def _named(names: Iterable[str], leg: Leg, env: ProbeEnvironment, *, confirm: bool = False) -> Iterator[Offer]:
    choices = [choice for choice in env.neighbours.get(leg, ()) if choice.security.encrypted][:2]
    hosts = list(dict.fromkeys(names))
    for choice in sorted(choices, key=lambda one: not one.security.implicit):
        for host in hosts:
            yield Offer(leg, host, choice.port, choice.security, Source.GUESS, Confidence.LOW, confirm=confirm)
