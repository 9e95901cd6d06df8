"""Short forms for tests that run a probe against a server on loopback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from cgcore.mail.account import Security
from cgcore.mail.request import Choice, ProbeEnvironment, ProbeRequest
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step
from cgcore.vault.secret import Secret
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS

__all__ = ["ANA", "deciding", "imap_request", "loopback_environment", "shown_text", "stages", "step_of"]

ANA = "ana@example.com"


def loopback_environment(
    certificates: Certificates | None = None, *, neighbours: Mapping[Leg, Sequence[Choice]] | None = None, **fields: Any
) -> ProbeEnvironment:
    """Return an environment that may reach loopback and trusts the private authority of the tests."""
    return ProbeEnvironment(
        allowed_networks=[ip_network("127.0.0.0/8"), ip_network("::1/128")],
        ca_file=str(certificates.ca_file) if certificates else "",
        neighbours=neighbours or {},
        **fields,
    )


def imap_request(port: int, security: Security = Security.STARTTLS, **fields: Any) -> ProbeRequest:
    """Return a request of ana@example.com to ``localhost``; ``fields`` override."""
    user = fields.setdefault("user", ANA)
    password = fields.pop("password", USERS.get(user, USERS[ANA]))
    values: dict[str, Any] = {
        "host": "localhost",
        "timeout": 10.0,
        "credential": Password(Secret(password)),
        **fields,
    }
    return ProbeRequest(leg=Leg.IMAP, port=port, security=security, **values)


def stages(steps: Iterable[Step]) -> list[str]:
    """Return the stages by name, in order."""
    return [str(step.stage) for step in steps]


def step_of(steps: Iterable[Step], stage: Stage) -> Step:
    """Return the step of one stage; there must be exactly one."""
    (step,) = [step for step in steps if step.stage is stage]
    return step


def deciding(steps: Iterable[Step]) -> tuple[str, str]:
    """Return stage and key of the first error, ``("", "")`` when there is none."""
    return next(((str(step.stage), step.key) for step in steps if step.status is Status.ERROR), ("", ""))


def shown_text(steps: Iterable[Step]) -> str:
    """Return everything that anybody could read in the steps."""
    return "\n".join(str(step.to_json()) for step in steps)
