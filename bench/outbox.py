"""Documents that leave by the outbox against bare smtplib loops, to a real Postfix with STARTTLS and sign-in.

Both sides begin with finished bytes. The bare loop leaves Nagle's algorithm on, as the library does; the second one has
it off. Runs of twenty take turns, so that a machine that slows down slows all. «Slow disk» adds 4 ms to each commit.
"""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, event

from bench.figures import Figure, timed
from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.message import Attachment
from cgcore.outbox.states import State
from cgcore.settings import load_settings
from cgcore.storage.database import open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.certificates import make_certificates
from tests.servers.daemon import make_folder, remove
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.house import add_series, add_user
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA

__all__ = ["run"]

_RUN, _ROUNDS = 20, 10
_PDF = Attachment("factura.pdf", "application/pdf", b"%PDF-1.7\n" + os.urandom(100 * 1024))
_TO = "comillas@example.com"
_SLOW_S = 0.004
_WANTED, _COMMITS = 0.8, 1.1


class _Desk:
    """Somebody with an account at the server, and what sending costs their database."""

    def __init__(self, folder: Path, port: int, context: ssl.SSLContext) -> None:
        self._port, self._context = port, context
        settings = load_settings(
            data_dir=folder / "data", config_dir=folder / "config", mail_allow_private="127.0.0.0/8", sandbox="off"
        )
        self.workbench = Workbench(settings, open_database(f"sqlite:///{folder / 'bench.db'}"))
        self._ana = self._furnish()
        self._number = 0
        self.commits, self.slow_s = 0, 0.0
        event.listen(self.workbench.database.engine, "commit", self._note)

    def _furnish(self) -> Actor:
        admin = add_user(self.workbench, "admin", Role.ADMIN)
        add_series(self.workbench, admin, "F", DocumentType.SALES_INVOICE)
        self.workbench.company.save(
            admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0
        )
        ana = replace(add_user(self.workbench, "ana"), mail=ANA)
        smtp = ServerDraft("localhost", self._port, Security.STARTTLS)
        self.workbench.mail_account.save(ana, MailAccountDraft(ANA, Secret(USERS[ANA]), smtp), version=0)
        return ana

    def _note(self, connection: Connection) -> None:
        if "cg_writes" in connection.get_execution_options():
            self.commits += 1
            time.sleep(self.slow_s)

    def put(self) -> bytes:
        """Hand in as many as a run has; return the bytes of one."""
        name = ""
        for _ in range(_RUN):
            self._number += 1
            request = DocumentRequest(DocumentType.SALES_INVOICE, "F", str(self._number), (_TO,), attachments=(_PDF,))
            request = replace(request, subject="Va {numero}", body="<p>Hola</p>", signature="")
            name = self.workbench.outbox.send(self._ana, request, str(self._number))[0].id
        return b"".join(self.workbench.outbox.read(self._ana, name))

    def send(self) -> None:
        """Send what was handed in."""
        self.workbench.outbox.worker.work_once()

    def all_left(self) -> bool:
        """Return whether everything has been accepted."""
        return set(self.workbench.outbox.overview_of(self._ana).counts) == {State.SENT}

    def bare(self, raw: bytes, *, no_delay: bool = False, each: bool = False) -> None:
        """Send a run of ``raw`` with the library alone; ``each`` message over a connection of its own."""
        for _ in range(_RUN if each else 1):
            client = smtplib.SMTP("localhost", self._port, local_hostname="[127.0.0.1]")
            assert client.sock is not None
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(no_delay))
            client.starttls(context=self._context)
            client.login(ANA, USERS[ANA])
            for _ in range(1 if each else _RUN):
                client.sendmail(ANA, [_TO], raw)
            client.quit()


def run() -> list[Figure]:
    """Return the rates, with and without a slow disk, what a message costs in commits, and the building by itself."""
    figures: list[Figure] = []
    with _desk() as desk:
        raw = desk.put()
        building = timed(desk.put)
        desk.send()
        for slow_s in (0.0, _SLOW_S):
            figures += _compare(desk, raw, slow_s, "" if not slow_s else ", slow disk")
        for _ in range(_ROUNDS):
            desk.put()
        desk.slow_s, before = 0.0, desk.commits
        desk.send()
        commits = (desk.commits - before) / (_RUN * _ROUNDS)
        figures.append(Figure(f"Outbox, commits a message, {_RUN * _ROUNDS} in a row", commits, _COMMITS))
        assert desk.all_left()
    note = f"{building / _RUN * 1000:.1f} ms each"
    return [*figures, Figure("Outbox, building and storing a document / a second", _RUN / building, note=note)]


def _compare(desk: _Desk, raw: bytes, slow_s: float, suffix: str) -> Iterator[Figure]:
    ways: Sequence[tuple[str, Callable[[], None]]] = (
        ("ours", desk.send),
        ("bare", lambda: desk.bare(raw)),
        ("no_delay", lambda: desk.bare(raw, no_delay=True)),
        ("each", lambda: desk.bare(raw, no_delay=True, each=True)),
    )
    taken: dict[str, list[float]] = {name: [] for name, _ in ways}
    commits: list[float] = []
    for _ in range(_ROUNDS):
        desk.slow_s = 0.0
        desk.put()
        desk.slow_s, before = slow_s, desk.commits
        for name, send in ways:
            taken[name].append(timed(send))
            if name == "ours":
                commits.append((desk.commits - before) / _RUN)
    rates = {name: _RUN / statistics.median(times) for name, times in taken.items()}
    told = (("bare", "one connection"), ("no_delay", "one connection, no delay"), ("each", "a connection each"))
    for name, title in told:
        note = f"{rates['ours']:.0f} / {rates[name]:.0f} a second"
        limit = _WANTED if name == "bare" else None
        yield Figure(
            f"Outbox / bare loop, {title}{suffix}", rates["ours"] / rates[name], limit, at_least=True, note=note
        )
    yield Figure(f"Outbox, commits a message in runs of {_RUN}{suffix}", statistics.median(commits))


@contextmanager
def _desk() -> Iterator[_Desk]:
    folder = make_folder("cg-bench-outbox-")
    certificates = make_certificates(folder)
    before = os.environ.get("SSL_CERT_FILE")
    with ExitStack() as stack:
        stack.callback(remove, folder)
        os.environ["SSL_CERT_FILE"] = str(certificates.ca_file)
        dovecot = stack.enter_context(Dovecot(certificates.trusted))
        postfix = stack.enter_context(Postfix(dovecot))
        context = ssl.create_default_context(cafile=str(certificates.ca_file))
        desk = _Desk(folder, postfix.submission_port, context)
        stack.callback(desk.workbench.close)
        yield desk
        os.environ.pop("SSL_CERT_FILE")
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before
