"""«Configurar mi correo»: one run from address and password to servers that were signed in to, and the sent folder.

Stands alone because it joins discovery with the probes and stores nothing but its run: saving is left to the person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.errors import FieldProblem, InvalidInput, Throttled
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.mail.account_texts import problem as account_problem
from cgcore.mail.addresses import domain_of, is_address
from cgcore.mail.diagnosis.texts import build_verdict
from cgcore.mail.request import ProbeEnvironment, ProbeRequest
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Cell, Run, Status, Step, Verdict, deciding_step
from cgcore.texts import join, lookup
from cgcore.workbench.runs import Job, RunSection

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.mail.discovery.result import Discovery, FoundServer
    from cgcore.vault.secret import Secret
    from cgcore.workbench.context import Context
    from cgcore.workbench.discovery import DiscoverySection

__all__ = ["MailSetup", "is_setup_of", "setup_mark", "setup_verdict_texts", "tested_leg"]

#: The verdict of a run that asks whether a foreign server is the right one; nothing has been signed in to.
_CONFIRM = "confirm_host"
_OF_FOLDER = (Stage.SELECT, Stage.CREATE, Stage.APPEND, Stage.CLEANUP)


class MailSetup:
    """Starts the run of «Configurar mi correo»."""

    def __init__(
        self,
        context: Context,
        *,
        runs: RunSection,
        discovery: DiscoverySection,
        environment: Callable[[], ProbeEnvironment],
        fingerprint: Callable[[Actor, Cell, MailAccountDraft], str],
    ) -> None:
        self._context, self._runs, self._discovery, self._environment = context, runs, discovery, environment
        self._fingerprint = fingerprint

    def start(self, actor: Actor, draft: MailAccountDraft, *, confirmed: Collection[str] = ()) -> Run:
        """Find the servers of ``draft.user``, sign in to both with the typed password, and choose the folder.

        A foreign host that an unsigned answer named is signed in to only when it stands in ``confirmed``: otherwise
        the run ends with the question. Its ``result`` holds what to fill into the form, and where each value is from.
        Raises :class:`InvalidInput` for an address or a password that is missing, and for too many tries.
        """
        address, password = draft.user.strip(), draft.password
        missing = [] if password else [account_problem("password", "empty")]
        if not is_address(address):
            code = "address_syntax" if address else "empty"
            missing.insert(0, account_problem("user", code, address=address))
        if not password or missing:
            raise InvalidInput(*missing)
        try:
            find = self._discovery.prepare(actor, address)
        except Throttled:
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "user", "too_many_searches")) from None
        mark = partial(self._fingerprint, actor)
        setup = _Setup(draft, address, password, self._environment, find, frozenset(confirmed), mark)

        def conclude(_steps: Sequence[Step], verdict: Verdict, session: Session) -> dict[str, Any]:
            told = f"{Cell.SETUP} {domain_of(address)}"
            self._context.activity.record(actor, Action.PROBE_RUN, told, verdict.key, session=session)
            return setup.result()

        return self._runs.start(actor, Cell.SETUP, setup_mark(address), Job(setup.steps, setup.judge, conclude))

    def find_last(self, actor: Actor) -> Run | None:
        """Return the last run."""
        return self._runs.find_last(actor, Cell.SETUP)


def setup_mark(address: str) -> str:
    """Return the fingerprint of a run for ``address``: whoever joins one of another address is told so by it."""
    return hashlib.sha256(address.strip().casefold().encode()).hexdigest()


def is_setup_of(run: Run, user: str) -> bool:
    """Return whether ``run`` set up the account whose address or login name is ``user``."""
    return run.fingerprint == setup_mark(user) or (run.result or {}).get("user") == user.strip()


@dataclass
class _Setup:
    """One run: what is known of it while it goes on."""

    draft: MailAccountDraft
    address: str
    password: Secret
    environment: Callable[[], ProbeEnvironment]
    find: Callable[[], Discovery]
    confirmed: frozenset[str]
    mark: Callable[[Cell, MailAccountDraft], str]
    found: Discovery | None = None
    folder: str = ""
    folder_from: str = ""
    questions: list[str] = field(default_factory=list[str])
    tested: dict[str, str] = field(default_factory=dict[str, str])

    def steps(self) -> Iterator[Step]:
        """Yield the steps: what was found for each leg, then both probes, then the folder."""
        self.found = self.find()
        yield from self._found_steps(self.found)
        servers = self.found.legs.values()
        self.questions = list(
            dict.fromkeys(
                each.offer.host for each in servers if each.offer.confirm and each.offer.host not in self.confirmed
            )
        )
        if not self.questions:
            yield from self._probe(Leg.SMTP)
            yield from self._probe_folder()
            filled = self._fill_in()
            self.tested = {str(cell): self.mark(cell, filled) for cell in (Cell.SMTP, Cell.IMAP)}

    def judge(self, steps: Sequence[Step], ms: int) -> Verdict:
        """Return the verdict: why nothing was found, the question, or that of the probes."""
        if self.found is not None and self.questions:
            return Verdict(_CONFIRM, str(Stage.DISCOVER), ms, {"hosts": self.questions})
        step = deciding_step(steps)
        if step is not None and step.stage == Stage.DISCOVER:
            values = {"domain": domain_of(self.address), "suggestion": self.found.suggestion if self.found else ""}
            return Verdict(step.key, str(step.stage), ms, values)
        request = self._request(Leg(step.leg)) if step is not None else None
        values = {"host": request.host, "port": request.port, "user": request.user} if request else {}
        provider = {"provider_id": request.provider} if request else {}
        return build_verdict(steps, total_ms=ms, sender=self.address, folder=self.folder, **values, **provider)

    def result(self) -> dict[str, Any]:
        """Return what to fill in, and what stands for the settings of each leg that were tested by it; no secret."""
        found = self.found
        legs = {str(leg): each.to_json() for leg, each in found.legs.items()} if found else {}
        return {
            "user": self._user(),
            **{str(leg): legs.get(str(leg)) for leg in Leg},
            "folder": self.folder,
            "folder_from": self.folder_from,
            "questions": self.questions,
            "provider": found.provider if found else "",
            "hints": list(found.hints) if found else [],
            "suggestion": found.suggestion if found else "",
            "tested": self.tested,
        }

    def _fill_in(self) -> MailAccountDraft:
        """Return the draft as it is once all of this has been filled in."""
        offers = {leg: each.offer for leg, each in self.found.legs.items()} if self.found else {}
        servers = {str(leg): ServerDraft(each.host, each.port, each.security) for leg, each in offers.items()}
        return replace(self.draft, user=self._user(), sent_folder=self.folder, **servers)

    def _user(self) -> str:
        names = {each.username for each in self.found.legs.values()} if self.found else set[str]()
        return names.pop() if len(names) == 1 else self.address

    def _found_steps(self, found: Discovery) -> Iterator[Step]:
        ms = round(found.seconds * 1000)
        for leg in Leg:
            server = found.legs.get(leg)
            if server is None:
                key = str(found.reason or "nothing_proven")
                yield Step(str(leg), str(Stage.DISCOVER), Status.ERROR, ms, key=key, field="user")
            else:
                yield Step(str(leg), str(Stage.DISCOVER), Status.OK, ms, details=_details(server))

    def _probe(self, leg: Leg) -> Iterator[Step]:
        from cgcore.mail.probe import probe

        request = self._request(leg)
        if request is not None:
            yield from probe(request, self.environment())

    def _probe_folder(self) -> Iterator[Step]:
        """Prove the incoming server, then store a message in the folder that it offers, and remove it again."""
        from cgcore.mail.probe import probe

        failed = False
        for step in self._probe(Leg.IMAP):
            failed = failed or step.status is Status.ERROR
            self._choose(step)
            if not (self.folder and step.status is Status.SKIPPED):
                yield step
        request = self._request(Leg.IMAP)
        if request is None or failed or not self.folder:
            return
        for step in probe(replace(request, folder=self.folder), self.environment()):
            if step.stage in _OF_FOLDER or step.status is Status.ERROR:
                yield step

    def _choose(self, step: Step) -> None:
        if step.stage != Stage.LIST:
            return
        if step.details.get("server_saves_copy"):
            self.folder_from = "server"
            return
        self.folder = str(step.details.get("recommended", ""))
        self.folder_from = str(step.details.get("reason", "")) if self.folder else ""

    def _request(self, leg: Leg) -> ProbeRequest | None:
        server = self.found.legs.get(leg) if self.found else None
        if server is None:
            return None
        offer = server.offer
        return ProbeRequest(
            leg,
            offer.host,
            offer.port,
            offer.security,
            user=server.username,
            credential=Password(self.password),
            mail_from=self.address if leg is Leg.SMTP else "",
            provider=offer.provider,
        )


def tested_leg(run: Run, leg: Leg, cell: Cell) -> Run | None:
    """Return the part of ``run``, which set an account up, that proved ``leg``, as a run of that one's own ``cell``.

    ``None`` where it has not proven both: then the person tests each by themselves.
    """
    result = run.result or {}
    mark, server = result.get("tested", {}).get(str(cell)), result.get(str(leg))
    if run.proves_nothing or run.failed or not mark or not server:
        return None
    steps = tuple(step for step in run.steps if step.leg == leg and step.stage != Stage.DISCOVER)
    ms = sum(step.ms for step in steps)
    values = {"host": server["host"], "port": server["port"], "user": result["user"], "folder": result["folder"]}
    verdict = build_verdict(steps, total_ms=ms, **values)
    return replace(run, cell=str(cell), fingerprint=mark, steps=steps, verdict=verdict, duration_ms=ms, result=None)


def _details(server: FoundServer) -> dict[str, Any]:
    offer = server.offer
    return {"host": offer.host, "port": offer.port, "source": str(offer.source), "proven": server.proven}


def setup_verdict_texts(verdict: Verdict) -> tuple[str, str]:
    """Return title and fix of a verdict of this cell; an unknown key is a ``KeyError``."""
    reasons = lookup("cgcore.mail", "discovery")["reason"]
    values = {name: value for name, value in verdict.values.items() if isinstance(value, str)}
    hosts = join(verdict.values.get("hosts", ()))
    if verdict.key not in reasons:
        from cgcore.mail.diagnosis.texts import verdict_texts

        return verdict_texts(verdict)
    told = {"domain": "", "provider": values.get("domain", ""), **values, "hosts": hosts}
    fixes = lookup("cgcore.mail", "discovery")["fix"]
    return reasons[verdict.key].format_map(told), fixes[verdict.key].format_map(told)
