"""The TLS stage: verify or compare with the pin, show the certificate, and say why it failed."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from cgcore.mail.account import Security, normal_pin
from cgcore.mail.banner import STRANGERS, Kind
from cgcore.mail.channel import Channel
from cgcore.mail.counterproof import CounterProof
from cgcore.mail.deadline import Deadline
from cgcore.mail.request import ProbeEnvironment, ProbeRequest
from cgcore.mail.steps import Leg, Step
from cgcore.mail.tls import CertificateCard, certificate_card, handshake_key, looking_context, verifying_context
from cgcore.mail.trace import OpenStage

__all__ = ["Handshake"]

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
        if card is not None and key == "cert_expired":
            details["date"] = "/".join(reversed(card.not_after[:10].split("-")))
        if card is not None and key == "tls_intercepted":
            details["issuer"] = card.issuer
        return stage.fail(key, patch=patch, **details)

    def _failed(self, error: OSError | ValueError, stage: OpenStage) -> Step:
        key = handshake_key(error) if isinstance(error, ssl.SSLError) else ""
        if key == "tls_obsolete" or not self._request.security.implicit:
            return stage.fail(key) if key == "tls_obsolete" else stage.broken(error)
        kinds = self._proof.kinds()
        if Kind(self._request.leg.value) in kinds:
            return self._plain_port(stage)
        if Kind.WEB in kinds:
            return stage.fail("host_is_website")
        stranger = next((kind for kind in STRANGERS if kind in kinds), None)
        if stranger is not None and key:
            return stage.fail("wrong_protocol", patch=self._proof.patch_for(), server_kind=stranger.label)
        return self._plain_port(stage) if key else stage.broken(error)

    def _plain_port(self, stage: OpenStage) -> Step:
        proven = self._proof.proven(same_port=[Security.STARTTLS])
        ssl_port = next((choice.port for choice in proven if choice.security.implicit), "")
        return stage.fail("ssl_on_starttls_port", patch=self._proof.patch_of(proven), ssl_port=ssl_port)
