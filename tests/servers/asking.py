"""How the tests of the SMTP leg ask: one environment that trusts the private authority, one request, all steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from cgcore.mail.account import Security
from cgcore.mail.diagnosis.texts import build_verdict
from cgcore.mail.probe import probe_smtp, send_message
from cgcore.mail.request import ProbeEnvironment, ProbeRequest
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg
from cgcore.runs import Status, Step
from cgcore.vault.secret import Secret
from tests.servers.certificates import Certificates

__all__ = ["PASSWORD", "USER", "Answer", "ask_smtp", "loopback", "send_by_smtp", "smtp_request"]

USER = "ana@example.com"
PASSWORD = "correcto-Caballo.9"
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True)
class Answer:
    """All steps of one probe, with the questions that tests ask of them."""

    steps: Sequence[Step]
    key: str

    @property
    def stages(self) -> list[str]:
        """The stages in the order in which they came."""
        return [str(step.stage) for step in self.steps]

    @property
    def last(self) -> Step:
        """The last step."""
        return self.steps[-1]

    @property
    def patch(self) -> Mapping[str, Any]:
        """What the deciding step would change."""
        return next((step.patch for step in self.steps if step.status is Status.ERROR), {})

    def step(self, stage: str) -> Step:
        """Return the step of ``stage``."""
        return next(step for step in self.steps if step.stage == stage)

    @property
    def text(self) -> str:
        """Everything in the steps as one text."""
        return repr([step.to_json() for step in self.steps])


def loopback(certificates: Certificates, **more: Any) -> ProbeEnvironment:
    """Return an environment that may reach loopback and trusts the private authority."""
    return ProbeEnvironment(allowed_networks=_LOOPBACK, ca_file=str(certificates.ca_file), **more)


def smtp_request(port: int, security: Security, **more: Any) -> ProbeRequest:
    """Return a request to sign in at ``127.0.0.1:port``."""
    values: dict[str, Any] = {"host": "127.0.0.1", "user": USER, "credential": Password(Secret(PASSWORD)), **more}
    return ProbeRequest(Leg.SMTP, port=port, security=security, **values)


def ask_smtp(request: ProbeRequest, env: ProbeEnvironment) -> Answer:
    """Return the whole probe."""
    return _answer(list(probe_smtp(request, env)))


def send_by_smtp(message: bytes, request: ProbeRequest, env: ProbeEnvironment, **more: Any) -> Answer:
    """Return the whole sending."""
    return _answer(list(send_message(message, request, env, **more)))


def _answer(steps: list[Step]) -> Answer:
    return Answer(steps, build_verdict(steps, total_ms=0).key)
