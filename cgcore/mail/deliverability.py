"""What a domain says about who may send for it: MX, SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489).

Stands alone: called by the workbench with an address and the outgoing server in use, it asks DNS only. What is found is
a code with its values, and the record to add where one is missing: the sentence is made where it is shown.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from cgcore.mail.addresses import domain_of, encode_name, is_address
from cgcore.mail.network.dns import Records
from cgcore.mail.network.public_suffix import registrable_domain
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.providers import find_provider_by_domain, find_provider_by_host, find_provider_by_mx
from cgcore.runs import Status
from cgcore.texts import sentence

__all__ = ["DnsRecord", "Finding", "Subject", "check_domain", "finding_text", "list_records"]

_QUESTION = 3.0  # seconds for one record
_LOOKUPS = 10  # RFC 7208 §4.6.4: terms that ask DNS, those of included records counted
_SIDE_BY_SIDE = 8

# What a provider's customers include, as its own pages say: Google, Microsoft, Fastmail and the rest.
_INCLUDES: Mapping[str, str] = {
    "google_workspace": "_spf.google.com",
    "microsoft365": "spf.protection.outlook.com",
    "godaddy_m365": "secureserver.net",
    "fastmail": "spf.messagingengine.com",
    "ovh": "mx.ovh.com",
    "gandi": "_mailcust.gandi.net",
    "hostinger": "_spf.mail.hostinger.com",
    "infomaniak": "spf.infomaniak.ch",
    "zoho_business_eu": "zohomail.eu",
    "zoho_business_com": "zohomail.com",
    "amazon_ses": "amazonses.com",
    "sendgrid": "sendgrid.net",
    "mailgun": "mailgun.org",
    "mailjet": "spf.mailjet.com",
    **dict.fromkeys(("ionos_es", "ionos_com", "ionos_mx", "ionos_de"), "_spf-eu.ionos.com"),
}
# Selectors cannot be listed, only tried: those of the provider first, then names that many systems choose.
_SELECTORS: Mapping[str, tuple[str, ...]] = {
    "google_workspace": ("google",),
    "microsoft365": ("selector1", "selector2"),
    "fastmail": ("fm1", "fm2", "fm3"),
    "zoho_business_eu": ("zmail", "zoho"),
    "zoho_business_com": ("zmail", "zoho"),
    **dict.fromkeys(("ionos_es", "ionos_com", "ionos_mx", "ionos_de"), ("s1-ionos", "s2-ionos", "s42582890")),
}
_KEY = re.compile(r"(?:^|;)\s*p=[A-Za-z0-9+/]")  # a DKIM record with a key in it; an empty one is withdrawn
_USUAL = ("default", "dkim", "mail", "s1", "s2", "k1", "selector1", "google", "x", "dk", "smtp", "key1")


class Subject(StrEnum):
    """What is looked at, in the order it is told."""

    MX = "mx"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record to add: its full name, kind and value."""

    name: str
    kind: str
    value: str

    def __str__(self) -> str:
        """Write it as one line, the way control panels name the three fields."""
        return f"{self.name}  {self.kind}  {self.value}"


def _no_values() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is true of one subject: the code of its sentence with values, how good that is, and what would mend it."""

    subject: Subject
    code: str
    status: Status
    values: Mapping[str, str] = field(default_factory=_no_values)
    record: DnsRecord | None = None


def list_records(address: str, host: str, records: Records, deadline: Deadline) -> dict[str, str] | None:
    """Return what the domain of ``address`` says of SPF, DKIM and DMARC, by subject and name, to be compared later.

    ``None`` where DNS does not say everything now: half of it would look like a change. Of an address of a provider's
    own domain nothing is of interest: ``{}``.
    """
    try:
        domain = encode_name(domain_of(address)) if is_address(address) else ""
        if not domain or find_provider_by_domain(domain) is not None:
            return {}
        return _Domain(domain, address, host, records, deadline).records_now()
    except (OSError, UnicodeError):
        return None


def finding_text(code: str, values: Mapping[str, object]) -> str:
    """Return the sentence of a finding; an unknown code is a ``KeyError``."""
    return sentence("cgcore.mail", f"deliverability.{code}", **values)


def check_domain(address: str, host: str, records: Records, deadline: Deadline) -> Iterator[Finding]:
    """Yield what DNS says of the domain of ``address``, which sends through ``host``; nothing is raised.

    Of an address of a provider's own domain nothing can be changed by its owner: then no record is proposed.
    """
    try:
        domain = encode_name(domain_of(address)) if is_address(address) else ""
    except UnicodeError:
        domain = ""
    if not domain:
        yield Finding(Subject.MX, "no_domain", Status.SKIPPED)
        return
    yield from _Domain(domain, address, host, records, deadline).findings()


@dataclass(frozen=True)
class _Domain:
    """One look at a domain."""

    domain: str
    address: str
    host: str
    records: Records
    deadline: Deadline

    @property
    def _provider(self) -> str:
        own = find_provider_by_host(self.host)
        return own.id if own else ""

    @property
    def _is_providers(self) -> bool:
        return find_provider_by_domain(self.domain) is not None

    def findings(self) -> Iterator[Finding]:
        """Yield one finding a subject, or the one that leaves no other."""
        for subject, look in (
            (Subject.MX, self._mx),
            (Subject.SPF, self._spf),
            (Subject.DKIM, self._dkim),
            (Subject.DMARC, self._dmarc),
        ):
            try:
                found = look()
            except (OSError, UnicodeError):
                found = Finding(subject, "dns_silent", Status.SKIPPED)
            yield found
            if found.code == "no_such_domain":
                return

    def _mx(self) -> Finding:
        values = {"domain": self.domain}
        try:
            exchangers = self.records.mx(self.domain, self._patience())
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise
            return Finding(Subject.MX, "no_such_domain", Status.ERROR, values)
        hosts = [each.host for each in exchangers if each.host]
        if not hosts:
            return Finding(Subject.MX, "mx_missing", Status.WARNING, values)
        receives, sends = find_provider_by_mx(hosts[0]), find_provider_by_host(self.host)
        values["host"] = hosts[0]
        if receives and sends and receives.id != sends.id and receives.name != sends.name:
            values |= {"receives": receives.name, "sends": sends.name}
            return Finding(Subject.MX, "mx_elsewhere", Status.OK, values)
        return Finding(Subject.MX, "mx_ok", Status.OK, values)

    def _spf(self) -> Finding:
        found = _policies(self._texts(self.domain), "v=spf1")
        include = _INCLUDES.get(self._provider, "")
        if not found:
            record = f"v=spf1 include:{include} ~all" if include else ""
            return self._proposal(Subject.SPF, "spf_missing", self.domain, record, Status.WARNING)
        if len(found) > 1:
            return Finding(Subject.SPF, "spf_several", Status.ERROR, {"count": str(len(found))})
        known, count = self._included(found[0])
        if count > _LOOKUPS:
            return Finding(Subject.SPF, "spf_too_many_lookups", Status.ERROR, {"count": str(count)})
        if re.search(r"(?:^|\s)\+?all\s*$", found[0], re.IGNORECASE):
            return Finding(Subject.SPF, "spf_open", Status.WARNING, {"domain": self.domain})
        if include and include not in known:
            mended = _with_include(found[0], include)
            return self._proposal(Subject.SPF, "spf_without_provider", self.domain, mended, Status.WARNING)
        return Finding(Subject.SPF, "spf_ok" if include else "spf_present", Status.OK, {"domain": self.domain})

    def _included(self, policy: str) -> tuple[set[str], int]:
        """Return the names that a policy includes, at any depth, and how many questions it asks of whoever checks."""
        known: set[str] = set()
        open_policies, count = [policy], 0
        while open_policies and count <= _LOOKUPS:
            terms = open_policies.pop().lower().split()[1:]
            for term in terms:
                name, _, target = term.lstrip("+-~?").replace("redirect=", "redirect:").partition(":")
                if name.partition("/")[0] not in ("include", "redirect", "a", "mx", "ptr", "exists"):
                    continue
                count += 1
                if name in ("include", "redirect") and "%" not in target and target not in known:
                    known.add(target)
                    open_policies += _policies(self._texts(target), "v=spf1")[:1]
        return known, count

    def _dkim(self) -> Finding:
        mine = _SELECTORS.get(self._provider, ())
        names = list(dict.fromkeys((*mine, *_USUAL)))
        with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="dkim") as pool:
            found = [name for name, there in zip(names, pool.map(self._has_key, names), strict=True) if there]
        if found:
            return Finding(Subject.DKIM, "dkim_ok", Status.OK, {"selector": found[0]})
        # It may be there under a name that nobody can guess: the first mail that arrives tells.
        return Finding(Subject.DKIM, "dkim_not_found", Status.WARNING, {"domain": self.domain})

    def _has_key(self, selector: str) -> bool:
        try:
            texts = self._texts(f"{selector}._domainkey.{self.domain}")
        except OSError:
            return False
        return any(_KEY.search(text) for text in texts)

    def _dmarc(self) -> Finding:
        for domain in self._dmarc_domains():
            if found := _policies(self._texts(f"_dmarc.{domain}"), "v=DMARC1"):
                said = re.search(r"(?:^|;)\s*p\s*=\s*(\w+)", found[0], re.IGNORECASE)
                wish = said[1].lower() if said else ""
                if wish not in ("none", "quarantine", "reject"):
                    return Finding(Subject.DMARC, "dmarc_broken", Status.ERROR, {"domain": domain})
                return Finding(Subject.DMARC, f"dmarc_{wish}", Status.OK, {"domain": domain})
        name = f"_dmarc.{registrable_domain(self.domain) or self.domain}"
        return self._proposal(Subject.DMARC, "dmarc_missing", name, f"v=DMARC1; p=none; rua=mailto:{self.address}")

    def _proposal(self, subject: Subject, code: str, name: str, value: str, status: Status = Status.WARNING) -> Finding:
        values = {"domain": self.domain}
        if self._is_providers:
            return Finding(subject, "of_provider", Status.SKIPPED, values)
        return Finding(subject, code, status, values, DnsRecord(name, "TXT", value) if value else None)

    def records_now(self) -> dict[str, str]:
        """Return each record that is there; raises :class:`OSError` where one cannot be asked for."""
        selectors = dict.fromkeys((*_SELECTORS.get(self._provider, ()), *_USUAL))
        asked: list[tuple[Subject, str, str]] = [
            (Subject.SPF, self.domain, "v=spf1"),
            *((Subject.DMARC, f"_dmarc.{name}", "v=DMARC1") for name in self._dmarc_domains()),
            *((Subject.DKIM, f"{selector}._domainkey.{self.domain}", "") for selector in selectors),
        ]
        with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="records") as pool:
            answers = list(pool.map(self._texts, [name for _, name, _ in asked]))
        found: dict[str, str] = {}
        for (subject, name, version), texts in zip(asked, answers, strict=True):
            said = _policies(texts, version) if version else [text for text in texts if _KEY.search(text)]
            if said:
                found[f"{subject.value} {name}"] = "\n".join(sorted(said))
        return found

    def _dmarc_domains(self) -> list[str]:
        return list(dict.fromkeys((self.domain, registrable_domain(self.domain))))

    def _texts(self, name: str) -> Sequence[str]:
        try:
            return self.records.txt(name, self._patience())
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise
            return ()

    def _patience(self) -> Deadline:
        return self.deadline.shorter(_QUESTION)


def _policies(texts: Sequence[str], version: str) -> list[str]:
    """Return the texts that begin with a version tag; any other text may stand beside them (RFC 7208 §4.5)."""
    return [text for text in texts if re.match(rf"{re.escape(version)}(?:\s|;|$)", text, re.IGNORECASE)]


def _with_include(policy: str, include: str) -> str:
    """Return an SPF policy with one more include, before the term that decides about all others."""
    terms = policy.split()
    last = next((at for at, term in enumerate(terms) if re.fullmatch(r"[+~?-]?all|redirect=.*", term)), len(terms))
    return " ".join([*terms[:last], f"include:{include}", *terms[last:]])
