"""Fixtures for the mail servers of the tests: each starts at its first use and ends with the run."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers.certificates import Certificate, Certificates, make_certificates
from tests.servers.daemon import make_folder, remove
from tests.servers.dovecot import Dovecot, Layout, dovecot_installed
from tests.servers.leftout import leave_out
from tests.servers.openid import OpenIdProvider, openid_installed
from tests.servers.postfix import Postfix, postfix_installed

__all__ = [
    "DovecotFactory",
    "certificates",
    "dovecot",
    "dovecot_with",
    "openid",
    "openid_mail",
    "postfix",
    "private_authority",
    "tracker",
]

DovecotFactory = Callable[..., Dovecot]


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    """A private authority and its good and bad certificates."""
    folder = make_folder("cg-certificates-")
    yield make_certificates(folder)
    remove(folder)


@pytest.fixture
def tracker() -> Iterator[socket.socket]:
    """A server that a message would like to be seen by; whoever asks it for something waits in its queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
def private_authority(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """The same, with ``SSL_CERT_FILE`` naming the authority, so that its certificates are trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    return certificates


@pytest.fixture(scope="session")
def dovecot_with() -> Iterator[DovecotFactory]:
    """Call with a certificate and a :class:`Layout` to get a running Dovecot; equal calls share one."""
    if not dovecot_installed():
        leave_out("dovecot-imapd")
    running: dict[tuple[Certificate | None, Layout], Dovecot] = {}
    with ExitStack() as stack:

        def start(certificate: Certificate | None, layout: Layout | None = None) -> Dovecot:
            key = (certificate, layout or Layout())
            if key not in running:
                running[key] = stack.enter_context(Dovecot(*key))
            return running[key]

        yield start


@pytest.fixture(scope="session")
def dovecot(certificates: Certificates, dovecot_with: DovecotFactory) -> Dovecot:
    """The plain case: a trusted certificate, ``/`` between folders, a folder «Sent» flagged ``\\Sent``."""
    return dovecot_with(certificates.trusted)


@pytest.fixture(scope="session")
def postfix(certificates: Certificates, dovecot: Dovecot) -> Iterator[Postfix]:
    """A Postfix over the accounts and mailboxes of :func:`dovecot`; its ``doors`` show the bad certificates."""
    if not postfix_installed():
        leave_out("postfix (or the right to run it: it starts as root)")
    with Postfix(dovecot, shown_too=certificates.bad) as server:
        yield server


@pytest.fixture(scope="session")
def _openid_of_the_run(certificates: Certificates) -> Iterator[OpenIdProvider]:
    if not openid_installed():
        leave_out("oidc-provider")
    with OpenIdProvider(certificates) as provider:
        yield provider


@pytest.fixture
def openid(_openid_of_the_run: OpenIdProvider) -> OpenIdProvider:
    """A real OpenID provider without faults; ``SSL_CERT_FILE`` must name the private authority to reach it."""
    _openid_of_the_run.reset()
    return _openid_of_the_run


@pytest.fixture(scope="session")
def openid_mail(_openid_of_the_run: OpenIdProvider, certificates: Certificates) -> Iterator[tuple[Dovecot, Postfix]]:
    """The mail servers that take the tokens of :func:`openid`, and passwords besides."""
    if not dovecot_installed():
        leave_out("dovecot-imapd")
    if not postfix_installed():
        leave_out("postfix (or the right to run it: it starts as root)")
    layout = Layout(mechanisms="plain login xoauth2 oauthbearer")
    with ExitStack() as stack:
        dovecot = stack.enter_context(Dovecot(certificates.trusted, layout, _openid_of_the_run.issuer))
        yield dovecot, stack.enter_context(Postfix(dovecot))
