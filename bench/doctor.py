"""The mail doctor: explained texts a second, how long a wrong pair waits for its verdict, what discovery waits for."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path

from bench.figures import Figure, timed
from cgcore.mail.account import Security
from cgcore.mail.diagnosis.diagnose import explain_reply
from cgcore.mail.discovery.discover import discover
from cgcore.mail.network.dns import MailExchanger, Records, Service
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.probe import ProbeEnvironment, ProbeRequest, probe
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg
from cgcore.runs import deciding_step
from cgcore.vault.secret import Secret
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.daemon import make_folder, remove
from tests.servers.scripted import imap_server, smtp_server

_DATA = Path(__file__).parents[1] / "tests" / "data"
_FILES = (
    "server_replies.toml",
    "replies_more.toml",
    "replies_by_class.toml",
    "replies_first_sight.toml",
    "replies_unseen.toml",
)
_ROUNDS = 3
_VERDICT_S = 5.0
_EXCHANGE_S = 0.4  # of the slow name server: what discovery has to wait for
# Which mode of the account meets which kind of port, and what that is.
_WRONG = {
    (False, Security.SSL): "ssl_on_starttls_port",
    (True, Security.STARTTLS): "starttls_on_ssl_port",
    (True, Security.NONE): "starttls_on_ssl_port",
}


def run() -> list[Figure]:
    """Return the figures."""
    with _certificates() as certificates:
        return [_explained(), *_verdicts(certificates), _discovered(certificates)]


@contextmanager
def _certificates() -> Iterator[Certificates]:
    folder = make_folder("cg-bench-doctor-")
    try:
        yield make_certificates(folder)
    finally:
        remove(folder)


def _explained() -> Figure:
    """Each text once a round, so that nothing is remembered of the one before; the best round counts."""
    rows = [row for name in _FILES for row in tomllib.loads((_DATA / name).read_text("utf-8"))["reply"]]

    def once() -> float:
        began = time.process_time()
        for row in rows:
            explain_reply(row["text"], protocol=row["protocol"], stage=row["stage"], provider=row["provider"])
        return time.process_time() - began

    once()
    best = min(once() for _ in range(_ROUNDS))
    return Figure(
        "explain: texts a second", len(rows) / best, 5000, at_least=True, note=f"{len(rows)} replies, CPU of one core"
    )


def _environment(certificates: Certificates) -> ProbeEnvironment:
    return ProbeEnvironment(allowed_networks=(ip_network("127.0.0.0/8"),), ca_file=str(certificates.ca_file))


def _verdicts(certificates: Certificates) -> Iterator[Figure]:
    """Each leg, each kind of port, each mode that is wrong there, with all that the counter-proof takes."""
    env = _environment(certificates)
    for leg in Leg:
        for (implicit, security), key in _WRONG.items():
            serve = smtp_server if leg is Leg.SMTP else imap_server
            with serve("friendly", certificates.trusted, implicit_tls=implicit) as server:
                request = ProbeRequest(
                    leg, "127.0.0.1", server.port, security, user="ana@example.com", credential=Password(Secret("x"))
                )
                began = time.perf_counter()
                step = deciding_step(probe(request, env))
                seconds = time.perf_counter() - began
            port = "TLS port" if implicit else "STARTTLS port"
            name = f"verdict: {leg} {security} on a {port}, s"
            told = step.key if step else "ok"
            yield Figure(name, seconds if told == key else float("inf"), _VERDICT_S, note=told)


class _SlowRecords(Records):
    """Knows one domain, and takes its time."""

    def __init__(self, ports: dict[str, int]) -> None:
        super().__init__()
        self._ports = ports

    def mx(self, domain: str, deadline: Deadline) -> Sequence[MailExchanger]:
        """Return the one exchanger."""
        del domain, deadline
        time.sleep(_EXCHANGE_S)
        return [MailExchanger(10, "mail.test")]

    def srv(self, name: str, deadline: Deadline) -> Sequence[Service]:
        """Return the two services with TLS from the first byte."""
        del deadline
        time.sleep(_EXCHANGE_S)
        port = self._ports.get(name.partition(".")[0])
        return [Service(0, 1, "mail.test", port)] if port else []

    def txt(self, name: str, deadline: Deadline) -> Sequence[str]:
        """Return nothing."""
        del name, deadline
        return []


def _discovered(certificates: Certificates) -> Figure:
    """The time from the address to both proven servers, against the slowest exchange that was needed: that of SRV."""
    with ExitStack() as stack:
        smtp = stack.enter_context(smtp_server("friendly", certificates.trusted, implicit_tls=True))
        imap = stack.enter_context(imap_server("friendly", certificates.trusted, implicit_tls=True))
        env = ProbeEnvironment(
            resolver=lambda _host, _deadline: ["127.0.0.1"],
            records=_SlowRecords({"_submissions": smtp.port, "_imaps": imap.port}),
            allowed_networks=(ip_network("127.0.0.0/8"),),
            ca_file=str(certificates.ca_file),
            https_port=1,
        )
        verdicts: list[str] = []

        def once() -> None:
            verdicts.append(str(discover("ana@empresa.test", env).verdict))

        once()
        best = min(timed(once) for _ in range(_ROUNDS))
    return Figure("discover: time / slowest exchange", best / _EXCHANGE_S, 1.3, note=", ".join(sorted(set(verdicts))))
