"""What a probe is asked, and the world it runs in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from cgcore.mail.account import Security
from cgcore.mail.deadline import Deadline
from cgcore.mail.resolver import Resolver, dns_resolver, system_resolver
from cgcore.mail.steps import Leg
from cgcore.settings import Network, Settings
from cgcore.vault.secret import Secret

__all__ = ["Choice", "ProbeEnvironment", "ProbeRequest", "TrustedTarget", "environment_from"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A port together with the security it is used with."""

    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One leg to prove. ``timeout`` is the total time in seconds; ``provider`` the id of a known provider, or ``""``.

    ``mail_from`` defaults to ``user`` when that is an address, ``rcpt_to`` to ``mail_from``. Without ``user`` nobody
    signs in. ``pin`` is the SHA-256 of the accepted certificate, for the pinned modes.
    """

    leg: Leg
    host: str
    port: int
    security: Security
    pin: str = ""
    user: str = ""
    password: Secret | None = None
    mail_from: str = ""
    rcpt_to: str = ""
    folder: str = ""
    create_folder: bool = False
    timeout: float = 15.0
    provider: str = ""


@dataclass(frozen=True, slots=True)
class TrustedTarget:
    """One exact server on loopback that may be reached although it is not public: the test mailbox, and its own CA."""

    host: str
    port: int
    ca_file: str = ""


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
    choices that the counter-proof tries. ``ehlo_name`` empty means the address literal of our end (RFC 5321 §4.1.4).
    """

    resolver: Resolver = system_resolver
    allowed_networks: Sequence[Network] = ()
    trusted_targets: Sequence[TrustedTarget] = ()
    ca_file: str = ""
    clock: Callable[[], float] = time.monotonic
    ehlo_name: str = ""
    neighbours: Mapping[Leg, Sequence[Choice]] = field(default_factory=lambda: _NEIGHBOURS)

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
    """Return the environment that the settings describe."""
    return ProbeEnvironment(
        resolver=dns_resolver(settings.dns_server) if settings.dns_server else system_resolver,
        allowed_networks=settings.mail_allow_private,
        trusted_targets=tuple(trusted_targets),
        ca_file=settings.ssl_cert_file,
    )
