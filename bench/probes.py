"""Probes against the same commands with the bare standard library, on real servers."""

from __future__ import annotations

import imaplib
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from threading import Thread

from bench.figures import Figure, median_ratio
from bench.relay import Relay
from cgcore.mail.account import Security
from cgcore.mail.probe import ProbeEnvironment, ProbeRequest, probe
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg
from cgcore.runs import Status
from cgcore.vault.secret import Secret
from tests.servers.certificates import make_certificates
from tests.servers.daemon import make_folder, remove
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.postfix import Postfix

_ADDRESS, _PASSWORD = next(iter(USERS.items()))
_FOLDER = "Sent"
_DELAY_S = 0.03
_MESSAGE = b"Subject: x\r\nMessage-ID: <bench@example.com>\r\n\r\nx\r\n"


class _Bench:
    def __init__(self, ca_file: str) -> None:
        self._context = ssl.create_default_context(cafile=ca_file)
        self._env = ProbeEnvironment(allowed_networks=(ip_network("127.0.0.0/8"),), ca_file=ca_file)

    def probe_smtp(self, port: int) -> None:
        self._run(
            ProbeRequest(
                Leg.SMTP, "localhost", port, Security.STARTTLS, user=_ADDRESS, credential=Password(Secret(_PASSWORD))
            )
        )

    def probe_imap(self, port: int) -> None:
        secret = Password(Secret(_PASSWORD))
        self._run(
            ProbeRequest(Leg.IMAP, "localhost", port, Security.SSL, user=_ADDRESS, credential=secret, folder=_FOLDER)
        )

    def bare_smtp(self, port: int) -> None:
        client = smtplib.SMTP("localhost", port, local_hostname="[127.0.0.1]")
        client.ehlo()
        client.starttls(context=self._context)
        client.ehlo()
        client.login(_ADDRESS, _PASSWORD)
        client.mail(_ADDRESS)
        client.rcpt(_ADDRESS)
        client.rset()
        client.quit()

    def bare_imap(self, port: int) -> None:
        client = imaplib.IMAP4_SSL("localhost", port, ssl_context=self._context)
        client.login(_ADDRESS, _PASSWORD)
        client.namespace()
        client.list('""', '"*" RETURN (SPECIAL-USE)')
        client.select(_FOLDER)
        when = imaplib.Time2Internaldate(time.time())
        # The answer names the UID (RFC 4315): no search for it, as the probe needs none either.
        _, told = client.append(_FOLDER, "(\\Seen)", when, _MESSAGE)
        uid = told[0].split(b"]")[0].split()[-1].decode()
        client.uid("STORE", uid, "+FLAGS.SILENT", "(\\Deleted)")
        client.uid("EXPUNGE", uid)
        client.logout()

    def _run(self, request: ProbeRequest) -> None:
        failed = [step for step in probe(request, self._env) if step.status is Status.ERROR]
        assert not failed, failed


def run() -> list[Figure]:
    """Return the figures of both legs: round trips, wall time on loopback, wall time with a slow line, both at once."""
    with _servers() as (bench, smtp_port, imap_port):
        figures = [
            *_leg("SMTP", bench.probe_smtp, bench.bare_smtp, smtp_port),
            *_leg("IMAP", bench.probe_imap, bench.bare_imap, imap_port),
        ]
        with Relay(smtp_port, delay=_DELAY_S) as smtp, Relay(imap_port, delay=_DELAY_S) as imap:

            def together() -> None:
                threads = [
                    Thread(target=bench.probe_smtp, args=(smtp.port,)),
                    Thread(target=bench.probe_imap, args=(imap.port,)),
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            ratio, note = median_ratio(together, lambda: bench.probe_imap(imap.port), rounds=5)
            figures.append(Figure("Probar todo / the slower leg alone (30 ms line)", ratio, 1.2, note=note))
    return figures


def _leg(name: str, ours: Callable[[int], None], bare: Callable[[int], None], port: int) -> list[Figure]:
    counts: list[int] = []
    for action in (ours, bare):
        counts.append(min(_round_trips(action, port) for _ in range(5)))
    trips = Figure(f"{name} probe, round trips / bare", counts[0] / counts[1], 1.0, note=f"{counts[0]} / {counts[1]}")
    ratio, note = median_ratio(lambda: ours(port), lambda: bare(port), rounds=15)
    local = Figure(f"{name} probe, wall time / bare", ratio, 1.5, note=note)
    with Relay(port, delay=_DELAY_S) as relay:
        slow_ratio, slow_note = median_ratio(lambda: ours(relay.port), lambda: bare(relay.port), rounds=5)
    return [trips, local, Figure(f"{name} probe, wall time / bare (30 ms line)", slow_ratio, 1.05, note=slow_note)]


def _round_trips(action: Callable[[int], None], port: int) -> int:
    """Count once; the end of the handshake and the first command may travel as one piece or as two."""
    with Relay(port) as relay:
        action(relay.port)
        return relay.round_trips


@contextmanager
def _servers() -> Iterator[tuple[_Bench, int, int]]:
    folder = make_folder("cg-bench-")
    certificates = make_certificates(folder)
    with suppress(KeyboardInterrupt), Dovecot(certificates.trusted) as dovecot, Postfix(dovecot) as postfix:
        yield _Bench(str(certificates.ca_file)), postfix.submission_port, dovecot.tls_port
    remove(folder)
