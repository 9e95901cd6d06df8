"""From an address to proven servers: all sources at once, each candidate tried as soon as somebody names it.

The answer is there as soon as nothing that is still under way could beat what has been proven; nothing waits for a dead
source, and everything ends after eight seconds.
"""

from __future__ import annotations

import difflib
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cgcore.mail.addresses import domain_of, encode_name, is_address
from cgcore.mail.alternatives import Candidate, Depth, Proof, prove_one
from cgcore.mail.discovery.result import (
    CandidateReport,
    Confidence,
    Discovery,
    FoundServer,
    Offer,
    Reason,
    Source,
    SourceReport,
    SourceStatus,
    TryStatus,
    Verdict,
)
from cgcore.mail.discovery.sources import (
    Answer,
    Target,
    ask_autoconfig,
    ask_company,
    ask_ispdb,
    ask_mx,
    ask_srv,
    ask_table,
    ask_well_known,
    guess,
)
from cgcore.mail.network.public_suffix import is_own
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.preset import MailPreset
from cgcore.mail.providers import PasswordKind, Provider, list_providers
from cgcore.mail.request import ProbeEnvironment
from cgcore.mail.steps import Leg

__all__ = ["discover", "known_hints", "suggest_address"]

_TOTAL = 8.0  # seconds for the whole
_PATIENCE = 3.0  # seconds for one candidate
_MOST = 40  # candidates of one run: whoever owns the domain decides how many are named, not how many are tried
_CUTOFF = 0.84  # one or two letters in a domain of usual length
_ASKED: tuple[tuple[Source, Callable[[Target, ProbeEnvironment, Deadline], Answer]], ...] = (
    (Source.MX, ask_mx),
    (Source.SRV, ask_srv),
    (Source.AUTOCONFIG, ask_autoconfig),
    (Source.WELL_KNOWN, ask_well_known),
    (Source.ISPDB, ask_ispdb),
)
_RANK = {source: number for number, source in enumerate(Source)}
# What keeps a provider's own servers from being proven without saying that they are the wrong ones.
_UNREACHED = frozenset({"", "port_filtered", "server_silent", "dns_temporary"})


def discover(
    address: str, env: ProbeEnvironment, *, presets: Sequence[MailPreset] | None = None, seconds: float = _TOTAL
) -> Discovery:
    """Return the servers of an address, proven live; nothing is raised, no password is sent, plain text never offered.

    The address is told to the domain's own autoconfig host only. ``presets`` are the company's own, ``None`` where
    nobody knows them. ``seconds`` bounds the whole.
    """
    began = env.clock()
    address = address.strip()
    suggestion = suggest_address(address)
    domain = _domain(address)
    if not domain:
        return Discovery(address, "", Verdict.NONE, reason=Reason.INVALID_ADDRESS, suggestion=suggestion)
    search = _Search(Target(address, domain), env, env.deadline(seconds), presets)
    search.run()
    return replace(search.result(), seconds=env.clock() - began, suggestion=suggestion)


@lru_cache(maxsize=256)
def suggest_address(address: str) -> str:
    """Return the address that was most likely meant by a slip in a known domain, ``""`` when there is no slip."""
    local, _, domain = address.strip().rpartition("@")
    known = [name for provider in list_providers() for name in provider.domains]
    if not local or domain.lower() in known:
        return ""
    near = difflib.get_close_matches(domain.lower(), known, n=1, cutoff=_CUTOFF)
    return f"{local}@{near[0]}" if near else ""


def known_hints(address: str) -> tuple[Provider | None, list[str]]:
    """Return the provider whose own domain an address has, and the codes of what it wants; no network."""
    domain = _domain(address.strip())
    provider = ask_table(Target(address, domain)).provider if domain else None
    return provider, _hints(provider)


def _domain(address: str) -> str:
    if not is_address(address):
        return ""
    try:
        domain = encode_name(domain_of(address))
    except UnicodeError:
        return ""
    return domain if "." in domain else ""


def _hints(provider: Provider | None) -> list[str]:
    if provider is None:
        return []
    kinds = (PasswordKind.APP_PASSWORD, PasswordKind.AUTH_CODE, PasswordKind.DEVICE_PASSWORD)
    told = {
        "incompatible": provider.incompatible,
        "oauth_only": provider.password_kind is PasswordKind.OAUTH2,
        "application_password": provider.password_kind in kinds,
        "imap_must_be_enabled": provider.imap_off_by_default,
        "microsoft_password_deadline": provider.id == "microsoft365",
    }
    return [code for code, holds in told.items() if holds]


@dataclass(frozen=True, slots=True)
class _Told:
    """A source has answered."""

    source: Source
    answer: Answer
    ms: int


@dataclass(frozen=True, slots=True)
class _Tried:
    """A candidate has been tried."""

    offer: Offer
    proof: Proof
    ms: int


_Place = tuple[Leg, str, int, str]


class _Search:
    """One run: what is under way, what has come in. Used once, by one thread; the others only put into the queue."""

    def __init__(
        self, target: Target, env: ProbeEnvironment, deadline: Deadline, presets: Sequence[MailPreset] | None
    ) -> None:
        self._target, self._env, self._deadline, self._presets = target, env, deadline, presets
        self._events: queue.SimpleQueue[_Told | _Tried] = queue.SimpleQueue()
        self._asking: dict[Source, float] = {}
        self._sources: dict[Source, SourceReport] = {}
        self._offers: dict[_Place, tuple[tuple[int, int], Offer]] = {}
        self._results: dict[_Place, CandidateReport] = {}
        self._reason: Reason | None = None
        self._provider: Provider | None = None

    def run(self) -> None:
        """Ask and try until nothing under way could change the answer."""
        if self._presets is not None and self._is_proven_by_company(self._presets):
            return
        self._take(_Told(Source.TABLE, ask_table(self._target), 0))
        if self._provider is None:
            for source, ask in _ASKED:
                self._ask(source, ask)
            self._take(_Told(Source.GUESS, guess(self._target, self._env), 0))
        self._wait()

    def _is_proven_by_company(self, presets: Sequence[MailPreset]) -> bool:
        """Try what the company has kept for the domain; only where that no longer works is anybody else asked."""
        self._take(_Told(Source.COMPANY, ask_company(self._target, presets), 0))
        self._wait()
        return all(self._best(leg) for leg in Leg)

    def _wait(self) -> None:
        while not self._is_decided() and not self._deadline.expired:
            try:
                self._take(self._events.get(timeout=self._deadline.timeout()))
            except (queue.Empty, TimeoutError):
                break

    def result(self) -> Discovery:
        """Return what is known now."""
        legs = {leg: found for leg in Leg if (found := self._found(leg)) is not None}
        proven = sum(found.proven for found in legs.values())
        verdict = Verdict.OK if proven == len(Leg) else Verdict.PARTIAL if proven else Verdict.NONE
        reason = (self._reason or self._why_none()) if verdict is Verdict.NONE else None
        hidden = reason not in (None, Reason.NOTHING_PROVEN, Reason.DNS_TEMPORARY)
        return Discovery(
            self._target.address,
            self._target.domain,
            verdict,
            reason=reason,
            legs={} if hidden else legs,
            hints=_hints(self._provider),
            provider=self._provider.id if self._provider else "",
            sources=[self._report(source) for source in Source],
            candidates=[self._candidate(place) for place in sorted(self._offers, key=self._rank)],
        )

    def _ask(self, source: Source, ask: Callable[[Target, ProbeEnvironment, Deadline], Answer]) -> None:
        began = self._env.clock()
        self._asking[source] = began

        def work() -> None:
            try:
                answer = ask(self._target, self._env, self._deadline)
            except Exception:
                # A fault of ours in one source must not hold up the others for the whole time.
                self._events.put(_Told(source, Answer(SourceStatus.ERROR, detail="internal"), self._ms(began)))
                raise
            self._events.put(_Told(source, answer, self._ms(began)))

        threading.Thread(target=work, name=f"discover-{source}", daemon=True).start()

    def _try(self, offer: Offer) -> None:
        began = self._env.clock()
        candidate = Candidate(offer.leg, offer.host, offer.port, offer.security)

        def work() -> None:
            proof = prove_one(candidate, self._env, self._deadline, patience=_PATIENCE, depth=Depth.CAPABILITIES)
            self._events.put(_Tried(offer, proof, self._ms(began)))

        threading.Thread(target=work, name="discover-try", daemon=True).start()

    def _ms(self, began: float) -> int:
        return round((self._env.clock() - began) * 1000)

    def _take(self, event: _Told | _Tried) -> None:
        if isinstance(event, _Tried):
            self._take_proof(event)
            return
        answer = event.answer
        self._asking.pop(event.source, None)
        self._sources[event.source] = SourceReport(event.source, answer.status, event.ms, answer.detail)
        if self._provider is None:
            self._provider = answer.provider
        self._reason = self._reason or answer.reason
        self._add(answer.offers)

    def _add(self, offers: Iterable[Offer]) -> None:
        for number, offer in enumerate(offers):
            place = _place(offer)
            rank = (_strength(offer), number)
            known = self._offers.get(place)
            if known is None and len(self._offers) < _MOST:
                self._offers[place] = (rank, offer)
                self._try(offer)
            elif known is not None and rank < known[0]:
                # The same server, named by a better source: what was tried counts for both.
                self._offers[place] = (rank, offer)

    def _take_proof(self, tried: _Tried) -> None:
        key = tried.proof.key
        status = TryStatus.FAILED if key else TryStatus.PROVEN
        status = TryStatus.FORBIDDEN if key == "forbidden_target" else status
        self._results[_place(tried.offer)] = CandidateReport(tried.offer, status, key, tried.ms)
        if key == "cert_wrong_name" and tried.offer.source is not Source.CERTIFICATE:
            self._take_names(tried)

    def _take_names(self, tried: _Tried) -> None:
        """Try the names of a certificate that was shown for another one, where they lead to the same machine."""
        names = [name for name in tried.proof.names if "*" not in name and "." in name][:3]
        offers = [
            replace(
                tried.offer,
                host=name,
                source=Source.CERTIFICATE,
                confidence=Confidence.LOW,
                confirm=not is_own(name, self._target.domain),
            )
            for name in names
            if self._leads_to(name, tried.proof.address)
        ]
        if offers:
            self._sources[Source.CERTIFICATE] = SourceReport(
                Source.CERTIFICATE, SourceStatus.FOUND, tried.ms, tried.offer.host
            )
        self._add(offers)

    def _leads_to(self, name: str, address: str) -> bool:
        try:
            return address in self._env.resolver(encode_name(name), self._deadline.shorter(1.0))
        except (OSError, UnicodeError):
            return False

    def _rank(self, place: _Place) -> tuple[int, int]:
        return self._offers[place][0]

    def _is_decided(self) -> bool:
        if self._reason is not None:
            return True
        return all(self._is_settled(leg) for leg in Leg)

    def _is_settled(self, leg: Leg) -> bool:
        """Whether nothing that is still under way could beat the best proven server of a leg."""
        best = self._best(leg)
        limit = self._rank(best) if best else (len(_RANK) * 2, 0)
        asking = any((_RANK[source], 0) < limit for source in self._asking)
        waiting = any(
            place not in self._results and rank < limit
            for place, (rank, offer) in self._offers.items()
            if offer.leg is leg
        )
        return not asking and not waiting

    def _best(self, leg: Leg) -> _Place | None:
        proven = [
            place
            for place, report in self._results.items()
            if report.status is TryStatus.PROVEN and self._offers[place][1].leg is leg
        ]
        return min(proven, key=self._rank, default=None)

    def _found(self, leg: Leg) -> FoundServer | None:
        best = self._best(leg)
        if best is not None:
            offer = self._offers[best][1]
            return FoundServer(offer, _username(offer, self._target), proven=True)
        # What the table or the exchanger is sure of stands, unproven, when it could only not be reached from here.
        sure = [
            place
            for place, (_, offer) in self._offers.items()
            if offer.leg is leg and offer.confidence is Confidence.HIGH and self._key(place) in _UNREACHED
        ]
        place = min(sure, key=self._rank, default=None)
        if place is None:
            return None
        offer = self._offers[place][1]
        return FoundServer(offer, _username(offer, self._target), proven=False)

    def _key(self, place: _Place) -> str:
        return self._results[place].key if place in self._results else ""

    def _why_none(self) -> Reason:
        keys = {report.key for report in self._results.values()}
        mx = self._sources.get(Source.MX)
        if (mx and mx.detail == "dns" and keys <= {"dns_temporary", "host_not_found"}) or keys == {"dns_temporary"}:
            return Reason.DNS_TEMPORARY
        if mx and mx.detail == "no_mx" and keys <= {"host_not_found", "port_closed", "port_filtered"}:
            return Reason.NO_MAIL_SERVICE
        return Reason.NOTHING_PROVEN

    def _report(self, source: Source) -> SourceReport:
        if source is Source.GUESS and source in self._sources:
            return self._report_of_guesses()
        if source in self._sources:
            return self._sources[source]
        if source in self._asking:
            # Left alone: what it could still have said would have changed nothing, or the time is over.
            late = self._deadline.expired
            status = SourceStatus.TIMEOUT if late else SourceStatus.OFF
            return SourceReport(source, status, self._ms(self._asking[source]), "" if late else "not_needed")
        nothing = source is Source.CERTIFICATE and self._provider is None
        return SourceReport(
            source, SourceStatus.NOTHING if nothing else SourceStatus.OFF, 0, "" if nothing else "not_needed"
        )

    def _report_of_guesses(self) -> SourceReport:
        tried = [
            report for report in self._results.values() if self._offers[_place(report.offer)][1].source is Source.GUESS
        ]
        found = [report for report in tried if report.status is TryStatus.PROVEN]
        status = SourceStatus.FOUND if found else SourceStatus.NOTHING
        return SourceReport(Source.GUESS, status, max((report.ms for report in tried), default=0))

    def _candidate(self, place: _Place) -> CandidateReport:
        offer = self._offers[place][1]
        tried = self._results.get(place)
        return replace(tried, offer=offer) if tried else CandidateReport(offer, TryStatus.NOT_TRIED)


def _place(offer: Offer) -> _Place:
    return offer.leg, offer.host.lower(), offer.port, str(offer.security)


def _strength(offer: Offer) -> int:
    """Return the rank of an offer's source; an uncertain row of the table stands behind what the domain itself says."""
    weak = offer.source in (Source.TABLE, Source.MX) and offer.confidence is Confidence.LOW
    return _RANK[Source.ISPDB] if weak else _RANK[offer.source]


def _username(offer: Offer, target: Target) -> str:
    if offer.username:
        return offer.username
    return target.address.rpartition("@")[0] if offer.username_form == "local_part" else target.address
