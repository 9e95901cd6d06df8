"""What a probe is asked, what is wrong with it before any connection, and the world that it runs in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from cgcore.errors import FieldProblem
from cgcore.mail.account import AccessToken, Credential, Security, check_folder, check_pin, check_port
from cgcore.mail.account_texts import problem
from cgcore.mail.addresses import check_host, clean_host, is_address, is_disguised_address
from cgcore.mail.network.dns import Records, Resolver, closed_resolver, dns_resolver, system_resolver
from cgcore.mail.network.policy import TrustedTarget
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.steps import Leg
from cgcore.mail.transcript import OpenStage
from cgcore.runs import Step
from cgcore.settings import Network, Settings

__all__ = [
    "Choice",
    "ProbeEnvironment",
    "ProbeRequest",
    "TokenRefused",
    "TokenSource",
    "environment_from",
    "input_step",
    "request_problems",
]


@dataclass(frozen=True, slots=True)
class Choice:
    """A port together with the security it is used with."""

    port: int
    security: Security


class TokenRefused(Exception):
    """There is no access token that could be shown to a server: ``key`` of the diagnosis, ``details`` it may name."""

    def __init__(self, key: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.details: dict[str, Any] = dict(details or {})


class TokenSource(Protocol):
    """Where a sign-in takes its access token from, at the moment that it needs one. Blocks while a provider is asked.

    The first two raise :class:`TokenRefused`.
    """

    def take(self) -> AccessToken:
        """Return a token that is good for a while; what is known to speak against it is said before it is sent."""
        ...

    def renew(self, refused: AccessToken) -> AccessToken:
        """Return another one in place of one that the server has refused."""
        ...

    def drop(self) -> None:
        """Let go of the token, whatever it was good for: a server has ended a session because it has run out."""
        ...

    def explain(self) -> tuple[str, Mapping[str, str]]:
        """Return what is known of a new token that was refused as well: a key and its details, both may be empty."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One leg to prove. ``timeout`` is the total time in seconds; ``provider`` the id of a known provider, or ``""``.

    ``mail_from`` defaults to ``user`` when that is an address, ``rcpt_to`` to ``mail_from``: see :attr:`sender` and
    :attr:`recipient`. Without ``user`` nobody signs in. ``tokens`` stand in place of a credential that is not known
    yet. ``pin`` is the SHA-256 of the accepted certificate, for the pinned modes. ``watch``: nobody waits for it, so a
    credential is shown once and never again in another way, and the quota of the mailbox is asked for.
    """

    leg: Leg
    host: str
    port: int
    security: Security
    pin: str = ""
    user: str = ""
    credential: Credential | None = None
    tokens: TokenSource | None = None
    mail_from: str = ""
    rcpt_to: str = ""
    folder: str = ""
    create_folder: bool = False
    timeout: float = 15.0
    provider: str = ""
    watch: bool = False

    @property
    def sender(self) -> str:
        """The envelope sender, ``""`` when there is no address to send from."""
        return self.mail_from or (self.user if is_address(self.user) else "")

    @property
    def recipient(self) -> str:
        """The one recipient of a probe, ``""`` when there is none."""
        return self.rcpt_to or self.sender


_TOKEN = re.compile(r"[\x21-\x7e]+")  # RFC 6749 §A.12, without blanks: no header has room for them

_NEIGHBOURS: Mapping[Leg, Sequence[Choice]] = MappingProxyType(
    {
        Leg.SMTP: (Choice(465, Security.SSL), Choice(587, Security.STARTTLS), Choice(2525, Security.STARTTLS)),
        Leg.IMAP: (Choice(993, Security.SSL), Choice(143, Security.STARTTLS)),
    }
)


@dataclass(frozen=True, slots=True)
class ProbeEnvironment:
    """The seam between a probe and its process: names, permitted targets, trust, time.

    ``ca_file`` holds authorities trusted besides the system's (``SSL_CERT_FILE``). ``neighbours`` are the
    choices that the counter-proof tries, and discovery for its guesses. ``https_port`` is where discovery fetches from,
    ``ispdb`` whether it may ask the Thunderbird database. With ``only_trusted`` only the targets
    may be reached, whatever is public. ``ehlo_name`` empty means the address literal of our end
    (RFC 5321 §4.1.4).
    """

    resolver: Resolver = system_resolver
    records: Records = field(default_factory=Records)
    allowed_networks: Sequence[Network] = ()
    trusted_targets: Sequence[TrustedTarget] = ()
    ca_file: str = ""
    clock: Callable[[], float] = time.monotonic
    ehlo_name: str = ""
    neighbours: Mapping[Leg, Sequence[Choice]] = field(default_factory=lambda: _NEIGHBOURS)
    https_port: int = 443
    ispdb: bool = False
    only_trusted: bool = False

    def deadline(self, seconds: float) -> Deadline:
        """Return a deadline on this environment's clock."""
        return Deadline.after(seconds, self.clock)

    def trusted_target(self, host: str, port: int) -> TrustedTarget | None:
        """Return the trusted target of exactly this host and port, if there is one."""
        return next((target for target in self.trusted_targets if (target.host, target.port) == (host, port)), None)

    def trust(self, host: str, port: int) -> str:
        """Return the CA file that counts for a target: its own, else the one of the process, else ``""``."""
        target = self.trusted_target(host, port)
        return target.ca_file if target is not None and target.ca_file else self.ca_file


def environment_from(settings: Settings, *, trusted_targets: Sequence[TrustedTarget] = ()) -> ProbeEnvironment:
    """Return the environment that the settings describe; of a demonstration, one that ends at the test mailbox."""
    if settings.demo:
        return ProbeEnvironment(
            resolver=closed_resolver,
            records=Records.closed(),
            trusted_targets=tuple(trusted_targets),
            only_trusted=True,
        )
    return ProbeEnvironment(
        resolver=dns_resolver(settings.dns_server) if settings.dns_server else system_resolver,
        records=Records(settings.dns_server),
        ispdb=settings.ispdb,
        allowed_networks=settings.mail_allow_private,
        trusted_targets=tuple(trusted_targets),
        ca_file=settings.ssl_cert_file,
    )


def request_problems(request: ProbeRequest) -> Iterator[FieldProblem]:
    """Yield every problem of a request; the fields are those of a step (``host``, ``port``, ``sender`` …)."""
    yield from check_host(request.host, request.leg)
    yield from check_port(request.leg, request.port, request.security)
    if request.security.pinned and request.leg is Leg.SMTP:
        yield problem("security", "pinned_smtp")
    if request.pin and not check_pin(request.pin):
        yield problem("security", "pin_format")
    if _has_control(request.user):
        yield problem("user", "control_characters")
    yield from _credential_problems(request)
    yield from check_folder(request.folder)
    for name, address in (("sender", request.mail_from), ("recipient", request.rcpt_to)):
        if address and not is_address(address):
            yield problem(name, "address_syntax", address=address)


def _credential_problems(request: ProbeRequest) -> Iterator[FieldProblem]:
    text = request.credential.secret.reveal() if request.credential else ""
    token = isinstance(request.credential, AccessToken)
    if request.user and not text and request.tokens is None:
        yield problem("password", "empty")
    # Whatever else a page refuses in a password: here only what breaks a command. What is no text is told at sign-in.
    elif text and (not _TOKEN.fullmatch(text) if token else any(sign in text for sign in "\r\n\0")):
        yield problem("password", "control_characters")


def input_step(request: ProbeRequest, stage: OpenStage) -> Step:
    """Return the step of the input stage: the first obstacle, else a warning, else ok."""
    if is_disguised_address(request.host.strip()):
        return stage.fail("forbidden_target")
    found = list(request_problems(request))
    for trouble in found:
        if trouble.blocking:
            return _obstacle(request, trouble, stage)
    if found:
        return stage.note(field=found[0].field, problem=found[0].code, **found[0].values)
    return stage.ok()


def _obstacle(request: ProbeRequest, trouble: FieldProblem, stage: OpenStage) -> Step:
    if trouble.code == "address_syntax":
        address = request.mail_from if trouble.field == "sender" else request.rcpt_to
        return stage.fail("address_syntax", field=trouble.field, address=address)
    told = {**trouble.values, "problem": trouble.code}
    return stage.fail("invalid_input", field=trouble.field, patch=_cleaned(request, trouble), **told)


def _cleaned(request: ProbeRequest, trouble: FieldProblem) -> Mapping[str, Any]:
    if trouble.code not in ("spaces", "url", "port_in_host", "double_dot"):
        return {}
    clean = clean_host(request.host)
    return {"host": clean} if clean and not list(check_host(clean, request.leg)) else {}


def _has_control(text: str) -> bool:
    """Whether a text cannot travel: control characters, or the lone surrogates of bytes that are no UTF-8."""
    return any(ord(sign) < 32 or ord(sign) == 127 or "\ud800" <= sign <= "\udfff" for sign in text)
