"""The sandbox's own certificate authority: its key in the vault, its certificate in a file for the sandbox's probes.

It goes into no trust store of the machine or the process.

Apart from :mod:`cgcore.sandbox.sandbox`: it makes certificates and knows no server.
"""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cgcore.errors import VaultError
from cgcore.sandbox.state import AUTHORITY_SECRET, CA_FILE, HOST
from cgcore.vault import Secret, Vault
from cgcore.vault.records import make_private_folder, write_atomically

__all__ = ["make_server_context"]

_CA_DAYS = 3650
_SERVER_DAYS = 397
# A certificate made now must be valid for a client whose clock is behind, and after the clock has been set back.
_SKEW = timedelta(days=2)

_Key = ec.EllipticCurvePrivateKey


def make_server_context(folder: Path, vault: Vault) -> ssl.SSLContext:
    """Return the server's TLS context with a certificate made for this run; ``folder/ca.pem`` verifies it.

    The authority is made once and kept. Raises :class:`cgcore.errors.VaultError` and :class:`OSError`.
    """
    authority, authority_key = _load_authority(folder, vault) or _make_authority(folder, vault)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign_server(key, authority, authority_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as private:
        # The ssl module reads a key from a file only; this one is used up by the next line.
        path = Path(private) / "server.pem"
        write_atomically(path, _pem(key) + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    return context


def _load_authority(folder: Path, vault: Vault) -> tuple[x509.Certificate, _Key] | None:
    kept = _find_key(vault)
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    now = datetime.now(UTC)
    is_valid = certificate.not_valid_before_utc <= now and now + timedelta(days=1) <= certificate.not_valid_after_utc
    if kept is None or not is_valid:
        return None
    key = load_pem_private_key(kept.reveal().encode(), password=None)
    if not isinstance(key, _Key) or key.public_key() != certificate.public_key():
        return None
    return certificate, key


def _find_key(vault: Vault) -> Secret | None:
    try:
        return vault.get(AUTHORITY_SECRET)
    except VaultError as error:
        if error.code != "record_unreadable":
            raise
        return None  # made by us, so another one may take its place


def _make_authority(folder: Path, vault: Vault) -> tuple[x509.Certificate, _Key]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Buzón de pruebas de Cloud Gestion")])
    usage = _key_usage(key_cert_sign=True, crl_sign=True)
    certificate = (
        _builder(name, name, key, days=_CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    vault.set(AUTHORITY_SECRET, Secret(_pem(key).decode()))
    make_private_folder(folder)
    write_atomically(folder / CA_FILE, certificate.public_bytes(Encoding.PEM))
    return certificate, key


def _sign_server(key: _Key, authority: x509.Certificate, authority_key: _Key) -> x509.Certificate:
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST)), x509.DNSName("localhost")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(subject, authority.subject, key, days=_SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority_key, SHA256())
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: _Key, *, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: _Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
