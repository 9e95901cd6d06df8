"""A private certificate authority and one server certificate for every way a certificate can be wrong."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["NAMES", "Certificate", "Certificates", "make_certificates"]

NAMES = ("localhost", "mail.test", "127.0.0.1", "127.0.0.2", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server certificate on disk: the PEM chain that is sent, its key, and the SHA-256 of the leaf in hex."""

    chain: Path
    key: Path
    sha256: str

    def server_context(self) -> ssl.SSLContext:
        """Return a context for a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Certificates:
    """All of them, for ``localhost``, ``mail.test`` and loopback addresses unless their name says otherwise.

    ``ca_file`` is what ``SSL_CERT_FILE`` must name for all to chain up but the self-signed ones, ``unknown_root`` and
    ``intercepted`` (by a virus scanner); ``missing_intermediate`` leaves its intermediate certificate out, that of
    ``expired_issuer`` has expired.
    """

    ca_file: Path
    trusted: Certificate
    self_signed: Certificate
    other_self_signed: Certificate
    expired: Certificate
    expired_self_signed: Certificate
    wrong_name: Certificate
    unknown_root: Certificate
    intercepted: Certificate
    missing_intermediate: Certificate
    expired_issuer: Certificate
    not_yet_valid: Certificate

    @property
    def bad(self) -> tuple[Certificate, ...]:
        """Those that a client must refuse, each for a reason of its own."""
        return self.self_signed, self.expired, self.wrong_name, self.unknown_root, self.missing_intermediate


def make_certificates(folder: Path) -> Certificates:
    """Make the whole set in ``folder`` (readable by every user, since mail servers change theirs)."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    authority = trustme.CA(organization_name="Private test authority")
    stranger = trustme.CA(organization_name="Unknown authority")
    intermediate = authority.create_child_ca()
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.cert_pem.bytes())
    past = datetime.now(UTC) - timedelta(days=2)

    def issued(
        name: str, by: trustme.CA, *hosts: str, expires: datetime | None = None, chain: bool = True
    ) -> Certificate:
        leaf = by.issue_cert(*hosts, common_name=hosts[0], not_after=expires)
        pems = [blob.bytes() for blob in leaf.cert_chain_pems]
        return _written(folder, name, b"".join(pems if chain else pems[:1]), leaf.private_key_pem.bytes())

    return Certificates(
        ca_file=ca_file,
        trusted=issued("trusted", authority, *NAMES),
        self_signed=_self_signed(folder, "self_signed"),
        other_self_signed=_self_signed(folder, "other_self_signed"),
        expired=issued("expired", authority, *NAMES, expires=past),
        expired_self_signed=_self_signed(folder, "expired_self_signed", expires=past),
        wrong_name=issued("wrong_name", authority, "server7.hoster.example", "*.hoster.example"),
        unknown_root=issued("unknown_root", stranger, *NAMES),
        intercepted=issued("intercepted", trustme.CA(organization_name="Avast Web/Mail Shield Root"), *NAMES),
        missing_intermediate=issued("missing_intermediate", intermediate, *NAMES, chain=False),
        expired_issuer=_under_an_expired_issuer(folder, authority),
        not_yet_valid=_self_issued(folder, "not_yet_valid", authority, begins=datetime.now(UTC) + timedelta(days=40)),
    )


def _self_signed(folder: Path, name: str, *, expires: datetime | None = None) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAMES[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(expires or now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in NAMES]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _written(folder, name, certificate.public_bytes(serialization.Encoding.PEM), key_pem)


def _under_an_expired_issuer(folder: Path, authority: trustme.CA) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    past = datetime.now(UTC) - timedelta(days=2)
    issuer = _signed(authority, "Issuer of the past", key, begins=past - timedelta(days=300), ends=past, is_issuer=True)
    own = ec.generate_private_key(ec.SECP256R1())
    leaf = _signed((issuer.subject, key), NAMES[0], own)
    pems = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (leaf, issuer))
    return _written(folder, "expired_issuer", pems, _key_pem(own))


def _self_issued(folder: Path, name: str, authority: trustme.CA, *, begins: datetime) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _signed(authority, NAMES[0], key, begins=begins)
    return _written(folder, name, leaf.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _signed(
    by: trustme.CA | tuple[x509.Name, ec.EllipticCurvePrivateKey],
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    begins: datetime | None = None,
    ends: datetime | None = None,
    is_issuer: bool = False,
) -> x509.Certificate:
    if isinstance(by, trustme.CA):
        root = x509.load_pem_x509_certificate(by.cert_pem.bytes())
        signer = serialization.load_pem_private_key(by.private_key_pem.bytes(), None)
        issuer = root.subject
    else:
        issuer, signer = by
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - timedelta(days=30))
        .not_valid_after(ends or now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=is_issuer, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not is_issuer:
        names = x509.SubjectAlternativeName([_general_name(host) for host in NAMES])
        builder = builder.add_extension(names, critical=False)
    else:
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(signer, hashes.SHA256())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _written(folder: Path, name: str, chain_pem: bytes, key_pem: bytes) -> Certificate:
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(chain_pem)
    key.write_bytes(key_pem)
    der = ssl.PEM_cert_to_DER_cert(
        chain_pem.decode().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    )
    return Certificate(chain, key, hashlib.sha256(der).hexdigest())
