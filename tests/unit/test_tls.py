"""Contexts, fingerprints, certificate cards and what a failed handshake means."""

from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path

import pytest

from cgcore.mail.network.tls import (
    certificate_card,
    client_hello,
    fingerprint,
    handshake_key,
    looking_context,
    verifying_context,
)
from tests.servers.certificates import Certificates


def _der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n")


def test_the_verifying_context_checks_chain_and_name_from_tls_1_2_on(certificates: Certificates) -> None:
    """Nothing in the product may lower any of the three."""
    context = verifying_context(str(certificates.ca_file))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert looking_context().minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_changed_authority_file_is_read_again(certificates: Certificates, tmp_path: Path) -> None:
    """The test mailbox may make a new authority at the same place."""
    file = tmp_path / "ca.pem"
    file.write_bytes(certificates.ca_file.read_bytes())
    first = verifying_context(str(file))
    same = verifying_context(str(file))
    os.utime(file, (1, 1))
    changed = verifying_context(str(file))

    assert first is same
    assert changed is not first


def test_a_missing_authority_file_is_an_error_and_no_silent_trust(tmp_path: Path) -> None:
    """The caller makes a step of it."""
    with pytest.raises(OSError, match=r"missing\.pem"):
        verifying_context(str(tmp_path / "missing.pem"))


def test_the_card_tells_names_issuer_dates_and_chain(certificates: Certificates) -> None:
    """What a person compares before accepting a certificate."""
    der = _der(certificates.self_signed.chain)
    card = certificate_card(der)

    assert card.sha256 == fingerprint(der) == hashlib.sha256(der).hexdigest() == certificates.self_signed.sha256
    assert card.chain == "self_signed"
    assert "localhost" in card.names
    assert card.not_before < card.not_after
    assert certificate_card(_der(certificates.trusted.chain)).chain == "untrusted"
    assert certificate_card(_der(certificates.trusted.chain), trusted=True).chain == "trusted"


def test_a_certificate_that_cannot_be_read_still_has_its_fingerprint() -> None:
    """A pin needs nothing else."""
    card = certificate_card(b"no certificate")

    assert card.sha256 == fingerprint(b"no certificate")
    assert card.chain == "unknown"


def test_the_client_hello_is_a_handshake_record_with_the_name() -> None:
    """Byte 22, and the server name in clear as every client sends it."""
    hello = client_hello("mail.ejemplo.es")

    assert hello[0] == 22
    assert b"mail.ejemplo.es" in hello


def test_an_interceptor_in_the_issuer_is_named_before_the_chain(certificates: Certificates) -> None:
    """A virus scanner that opens TLS signs with its own authority."""
    from dataclasses import replace

    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code = 20
    card = certificate_card(_der(certificates.unknown_root.chain))

    assert handshake_key(error, card) == "cert_untrusted_chain"
    assert handshake_key(error, replace(card, issuer="Avast Web/Mail Shield Root")) == "tls_intercepted"
    assert handshake_key(error) == "cert_untrusted_chain"
