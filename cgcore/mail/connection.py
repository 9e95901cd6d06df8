"""The way to a mail server, the same for both legs: input, dns, tcp, TLS, and the first line."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from cgcore.mail.account import Security, normal_pin
from cgcore.mail.addresses import address_literal, encode_host
from cgcore.mail.alternatives import Candidate, CounterProof, Server, prove
from cgcore.mail.network.greeting import GREETING_BYTES, OTHER_PROTOCOLS, Kind, first_line, kind_of
from cgcore.mail.network.policy import may_connect
from cgcore.mail.network.sockets import MAX_BYTES, Attempt, Channel, Deadline, FloodError, connect_any, few_addresses
from cgcore.mail.network.tls import (
    CertificateCard,
    alert_words,
    certificate_card,
    handshake_key,
    looking_context,
    validity_facts,
    verifying_context,
)
from cgcore.mail.providers import similar_host
from cgcore.mail.request import ProbeEnvironment, ProbeRequest, input_step
from cgcore.mail.steps import Leg, Stage
from cgcore.mail.transcript import OpenStage, Trace
from cgcore.runs import Status, Step

__all__ = ["Connection", "Handshake", "Timeouts"]

_GREETING_PATIENCE = 3.0  # seconds of silence after which a ClientHello is tried beside the waiting
_SLICE = 0.2  # seconds between two looks whether that has been answered


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for each stage of a delivery, which has no end of its own (RFC 5321 §4.5.3.2).

    ``stage`` up to DATA, ``block`` for a piece of the message, ``final`` for the verdict after the dot: whoever gives
    up sooner on that one gets a second copy delivered.
    """

    stage: float = 30.0
    block: float = 60.0
    final: float = 600.0


class Connection:
    """One connection, used as a context manager that closes the socket.

    A probe has one deadline over all, the ``timeout`` of its request; with ``timeouts`` each stage has its own.

    Run :meth:`open` first; when :attr:`channel` is ``None`` after it, an error step has been yielded and there is
    nothing more to do. Then the leg begins its greeting stage, asks :meth:`greeting_problem`, and reads the greeting
    through its own library. With a STARTTLS mode it later calls :meth:`secure` once the server has agreed.
    """

    def __init__(self, request: ProbeRequest, env: ProbeEnvironment, timeouts: Timeouts | None = None) -> None:
        self.request = request
        self.env = env
        self.timeouts = timeouts
        self.deadline = env.deadline(request.timeout)
        self.trace = Trace(
            request.leg,
            secrets=[request.credential.secret if request.credential else None],
            provider=request.provider,
            clock=env.clock,
        )
        self.channel: Channel | None = None
        self._name = ""
        self._addresses: Sequence[str] = ()
        self._address = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, stage: Stage) -> OpenStage:
        """Begin a stage, with a new deadline where each has its own."""
        if self.timeouts is not None:
            self._allow(self.timeouts.stage)
        return self.trace.begin(stage)

    def allow_block(self) -> None:
        """Give the next piece of a message its time, where there is no deadline over all."""
        if self.timeouts is not None:
            self._allow(self.timeouts.block)

    def allow_final(self) -> None:
        """Give the verdict on a message its time, where there is no deadline over all."""
        if self.timeouts is not None:
            self._allow(self.timeouts.final)

    def _allow(self, seconds: float) -> None:
        self.deadline = self.env.deadline(seconds)
        if self.channel is not None:
            self.channel.deadline = self.deadline

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    @property
    def proof(self) -> CounterProof:
        """The counter-proof for this server: tries other ports and modes without credentials."""
        first = next((address for address in self._addresses if ":" not in address), self._addresses[0])
        server = Server(self._name, self._address or first)
        return CounterProof(self.request, self.env, server, self.deadline)

    @property
    def ehlo_name(self) -> str:
        """The name to greet with: the configured one, else the address literal of our end."""
        if self.env.ehlo_name or self.channel is None:
            return self.env.ehlo_name or "[127.0.0.1]"
        return address_literal(self.channel.own_address)

    def with_cure(self, step: Step) -> Step:
        """Return ``step`` with a patch where a refusal demands encryption and STARTTLS has just worked on this port."""
        if step.key != "encryption_required" or step.patch or self.request.security.encrypted:
            return step
        return replace(step, patch=self.proof.starttls_patch())

    def open(self) -> Iterator[Step]:
        """Yield the steps input, dns, tcp and, with SSL from the first byte, tls."""
        step = input_step(self.request, self.begin(Stage.INPUT))
        yield step
        if step.status is Status.ERROR:
            return
        step = self._resolve(self.begin(Stage.DNS))
        yield step
        if step.status is Status.ERROR:
            return
        step = self._connect(self.begin(Stage.TCP))
        yield step
        if self.channel is not None and self.request.security.implicit:
            yield self.secure()

    def secure(self) -> Step:
        """Shake hands and return the tls step; on an error the connection is closed and :attr:`channel` ``None``.

        Readers made of the channel before hold text in clear and must be dropped.
        """
        stage = self.begin(Stage.TLS)
        if self.channel is None:
            raise RuntimeError("not connected")
        handshake = Handshake(self.request, self.env, name=self._name, proof=self.proof, deadline=self.deadline)
        step = handshake.run(self.channel, stage)
        if step.status is Status.ERROR:
            self.close()
        return step

    def greeting_problem(self, stage: OpenStage) -> Step | None:
        """Look at the first line without consuming it; return an error step when no server of this leg speaks.

        After an error step the connection is closed. A refusal in the right protocol (``554``, ``* BYE``) is no
        problem here: the leg reads it and says what it means.
        """
        if self.channel is None:
            raise RuntimeError("not connected")
        channel = self.channel
        channel.allowance = GREETING_BYTES
        try:
            kind = self._first_kind(channel)
        except TimeoutError:
            return self._failed(stage.fail("server_silent"))
        except FloodError as error:
            return self._failed(stage.broken(error))
        except OSError as error:
            if alert_words(error):  # in TLS 1.3 a refusal of ours comes only after the handshake
                return self._failed(stage.broken(error))
            kind = Kind.GONE
        channel.deadline, channel.allowance = self.deadline, MAX_BYTES
        step = None if kind == self.request.leg.value else self._other_protocol(kind, stage)
        return step if step is None else self._failed(step)

    def _first_kind(self, channel: Channel) -> Kind:
        """Return who speaks first, however late: some servers let everybody wait. Silence is a ``TimeoutError``."""
        channel.deadline = self.deadline.shorter(min(_GREETING_PATIENCE, self.deadline.remaining / 2))
        try:
            return kind_of(first_line(channel))
        except TimeoutError:
            kind = None if self.request.security.implicit else self._ask_beside(channel)
        channel.deadline = self.deadline
        return kind or kind_of(first_line(channel))

    def _ask_beside(self, channel: Channel) -> Kind | None:
        """Ask on other connections who this is, while this one waits on: the first answer counts."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="beside")
        try:
            asking = pool.submit(self.proof.kinds)
            while not asking.done():
                channel.deadline = self.deadline.shorter(_SLICE)
                with suppress(TimeoutError):
                    return kind_of(first_line(channel))
            kinds = asking.result()
        finally:
            pool.shutdown(wait=False)
        return next((kind for kind in (Kind.TLS, Kind.WEB) if kind in kinds), None)

    def _failed(self, step: Step) -> Step:
        self.close()
        return step

    def _tls_port(self, stage: OpenStage) -> Step:
        patch = self.proof.patch_for(same_port=[Security.SSL], neighbours=False) or self.proof.patch_for()
        return stage.fail("starttls_on_ssl_port", patch=patch)

    def _other_protocol(self, kind: Kind, stage: OpenStage) -> Step:
        if kind is Kind.WEB:
            return stage.fail("host_is_website")
        if kind is Kind.GONE:
            # Some TLS ports hang up on a client that does not begin with a ClientHello.
            if not self.request.security.implicit and Kind.TLS in self.proof.kinds():
                return self._tls_port(stage)
            return stage.fail("connection_dropped")
        if kind is Kind.TLS:
            return self._tls_port(stage)
        return stage.fail("wrong_protocol", patch=self.proof.patch_for(), server_kind=kind.value)

    def _resolve(self, stage: OpenStage) -> Step:
        try:
            self._name = encode_host(self.request.host)
        except UnicodeError:
            return stage.fail("invalid_input", field="host")
        try:
            self._addresses = self.env.resolver(self._name, self.deadline)
        except TimeoutError:
            return stage.fail("dns_temporary")
        except (socket.gaierror, OSError) as error:
            return self._unknown_name(error, stage)
        if not may_connect(self._addresses, self.request.host, self.request.port, self.env):
            return stage.fail("forbidden_target")
        self._addresses = few_addresses(self._addresses)
        return stage.ok(
            a=[address for address in self._addresses if ":" not in address],
            aaaa=[address for address in self._addresses if ":" in address],
        )

    def _unknown_name(self, error: OSError, stage: OpenStage) -> Step:
        diagnosis = stage.diagnose(error)
        suggestion = similar_host(self._name, self.request.leg) if diagnosis.key == "host_not_found" else ""
        if not suggestion:
            return stage.fail(diagnosis)
        patch = {"host": suggestion} if self._answers(suggestion) else {}
        return stage.fail(diagnosis, patch=patch, suggestion=suggestion)

    def _answers(self, host: str) -> bool:
        """Whether another host answers at the same port and with the same encryption."""
        request = self.request
        if not request.security.encrypted:
            return False
        candidate = Candidate(request.leg, host, request.port, request.security, request.pin)
        return all(proof.works for proof in prove([candidate], self.env, self.deadline))

    def _connect(self, stage: OpenStage) -> Step:
        deadline = self.deadline.shorter(self.deadline.remaining / 2)  # the rest is for the counter-proof
        connected, attempts = connect_any(self._addresses, self.request.port, deadline)
        results = [attempt.to_json() for attempt in attempts]
        if connected is None:
            return self._unreachable(attempts, stage)
        self._address = str(connected.getpeername()[0])
        self.channel = Channel(connected, self.deadline)
        dead = [attempt.ip for attempt in attempts if attempt.result != "ok"]
        return stage.ok(address=self._address, addresses=results, dead=dead)

    def _unreachable(self, attempts: Sequence[Attempt], stage: OpenStage) -> Step:
        results = [attempt.to_json() for attempt in attempts]
        if any(attempt.result == "wrong_peer" for attempt in attempts):
            return stage.fail("forbidden_target")
        key = "port_closed" if any(attempt.result == "refused" for attempt in attempts) else "port_filtered"
        proven = self.proof.proven()
        patch = self.proof.patch_of(proven)
        ports = [choice.port for choice in proven]
        return stage.fail(key, patch=patch, working_ports=ports, addresses=results)


_PATIENCE = 6.0  # seconds for a handshake: what is left goes to the question who answers instead


class Handshake:
    """One handshake of one request on a connected channel."""

    def __init__(
        self, request: ProbeRequest, env: ProbeEnvironment, *, name: str, proof: CounterProof, deadline: Deadline
    ) -> None:
        self._request = request
        self._env = env
        self._name = name
        self._proof = proof
        self._deadline = deadline

    def run(self, channel: Channel, stage: OpenStage) -> Step:
        """Shake hands and return the step; unless it is ok the channel must not be used any more.

        Verified modes check chain and name. Pinned modes accept exactly one certificate, compared before anything is
        sent; without a pin they stop and show the certificate, to be confirmed.
        """
        try:
            context = self._context()
        except OSError:
            return stage.fail("cert_untrusted_chain", note="SSL_CERT_FILE")
        whole = channel.deadline
        channel.deadline = whole.shorter(min(_PATIENCE, whole.remaining / 2))
        try:
            channel.start_tls(context, self._name)
        except ssl.SSLCertVerificationError as error:
            return self._refused_certificate(error, stage)
        except (OSError, ValueError) as error:
            return self._failed(error, stage)
        channel.deadline = whole
        card = certificate_card(channel.certificate(), trusted=not self._request.security.pinned)
        if self._request.security.pinned and card.sha256 != normal_pin(self._request.pin):
            return self._unpinned(card, stage)
        return stage.ok(certificate=card.to_json(), **channel.tls_facts())

    def _context(self) -> ssl.SSLContext:
        if self._request.security.pinned:
            return looking_context()
        return verifying_context(self._env.trust(self._request.host, self._request.port))

    def _unpinned(self, card: CertificateCard, stage: OpenStage) -> Step:
        if self._request.pin:
            return stage.fail("cert_pin_changed", certificate=card.to_json())
        patch = self._pin_patch(card)
        return stage.fail("cert_self_signed", patch=patch, issuer=card.issuer, certificate=card.to_json())

    def _pin_patch(self, card: CertificateCard) -> Mapping[str, Any]:
        if self._request.leg is not Leg.IMAP or not card.sha256:
            return {}
        pinned = Security.SSL_PINNED if self._request.security.implicit else Security.STARTTLS_PINNED
        return {"security": pinned.value, "pin": card.sha256}

    def _refused_certificate(self, error: ssl.SSLCertVerificationError, stage: OpenStage) -> Step:
        der = self._proof.certificate()
        card = certificate_card(der) if der else None
        key = handshake_key(error, card)
        details: dict[str, Any] = {"certificate": card.to_json()} if card else {}
        patch: Mapping[str, Any] = {}
        if card is not None and key == "cert_self_signed":
            patch = self._pin_patch(card)
        if card is not None and key == "cert_wrong_name":
            suggestion = self._proof.name_of(card.names)
            details |= {"cert_names": list(card.names[:3]), "suggestion": suggestion}
            patch = {"host": suggestion} if suggestion else {}
        if card is not None and key in ("cert_expired", "cert_not_yet_valid", "clock_wrong"):
            details |= validity_facts(card, key, datetime.now(UTC))
        if card is not None and key == "tls_intercepted":
            details["issuer"] = card.issuer
        return stage.fail(key, patch=patch, **details)

    def _failed(self, error: OSError | ValueError, stage: OpenStage) -> Step:
        key = handshake_key(error) if isinstance(error, ssl.SSLError) else ""
        if key == "tls_obsolete" or alert_words(error) or not self._request.security.implicit:
            return stage.fail(key, alert_words(error)) if key == "tls_obsolete" else stage.broken(error)
        kinds = self._proof.kinds()
        if Kind(self._request.leg.value) in kinds:
            return self._plain_port(stage)
        if Kind.WEB in kinds:
            return stage.fail("host_is_website")
        other = next((kind for kind in OTHER_PROTOCOLS if kind in kinds), None)
        if other is not None and key:
            return stage.fail("wrong_protocol", patch=self._proof.patch_for(), server_kind=other.value)
        return self._plain_port(stage) if key else stage.broken(error)

    def _plain_port(self, stage: OpenStage) -> Step:
        proven = self._proof.proven(same_port=[Security.STARTTLS])
        ssl_port = next((choice.port for choice in proven if choice.security.implicit), "")
        return stage.fail("ssl_on_starttls_port", patch=self._proof.patch_of(proven), ssl_port=ssl_port)
