"""Which addresses and ports a probe may reach."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from cgcore.mail.network.policy import MAIL_PORTS, TrustedTarget, is_allowed, is_public, may_connect
from cgcore.mail.request import ProbeEnvironment

PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1", "::", "::1", "fe80::1", "fc00::1",
    "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::", "2002:a00:1::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2001:0:1:2:3:4:f5ff:fffe", "::7f00:1", "100::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused_on_every_mail_port(address: str) -> None:
    """Loopback, private, link-local, shared, reserved and multicast addresses, also inside an IPv6 address."""
    env = ProbeEnvironment()

    assert not is_public(ip_address(address))
    assert not any(is_allowed(address, "mail.example.es", port, env) for port in MAIL_PORTS)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached_on_mail_ports_only(address: str) -> None:
    """Any other port would make us a port scanner."""
    env = ProbeEnvironment()

    assert all(is_allowed(address, "mail.example.es", port, env) for port in MAIL_PORTS)
    assert not any(is_allowed(address, "mail.example.es", port, env) for port in (22, 80, 110, 443, 3306, 8080))


def test_one_forbidden_address_among_public_ones_refuses_them_all() -> None:
    """A name that leads inside as well as outside is an attack."""
    env = ProbeEnvironment()

    assert may_connect(["8.8.8.8", "2606:4700::1111"], "mail.example.es", 587, env)
    assert not may_connect(["8.8.8.8", "10.0.0.1"], "mail.example.es", 587, env)
    assert not may_connect([], "mail.example.es", 587, env)


def test_the_networks_of_the_setting_are_allowed_on_any_port() -> None:
    """The own mail server in the house, and nothing beside it."""
    env = ProbeEnvironment(allowed_networks=(ip_network("10.1.0.0/16"),))

    assert is_allowed("10.1.2.3", "correo.casa", 10587, env)
    assert is_allowed("::ffff:10.1.2.3", "correo.casa", 10587, env)
    assert not is_allowed("10.2.0.1", "correo.casa", 587, env)
    assert not is_allowed("169.254.169.254", "correo.casa", 587, env)


def test_the_test_mailbox_is_allowed_at_exactly_its_host_and_port() -> None:
    """Its name may not be bent to another machine, nor may its neighbour be reached."""
    env = ProbeEnvironment(trusted_targets=(TrustedTarget("127.0.0.1", 40025, "ca.pem"),))

    assert is_allowed("127.0.0.1", "127.0.0.1", 40025, env)
    assert not is_allowed("127.0.0.1", "127.0.0.1", 40026, env)
    assert not is_allowed("127.0.0.1", "localhost", 40025, env)
    assert not is_allowed("10.0.0.1", "127.0.0.1", 40025, env)


def test_the_authority_of_the_test_mailbox_counts_for_nothing_else() -> None:
    """Its own CA signs for its own target only."""
    env = ProbeEnvironment(trusted_targets=(TrustedTarget("127.0.0.1", 40025, "own.pem"),), ca_file="process.pem")

    assert env.trust("127.0.0.1", 40025) == "own.pem"
    assert env.trust("127.0.0.1", 40026) == "process.pem"
    assert env.trust("mail.example.es", 587) == "process.pem"


def test_a_zone_in_an_address_is_refused() -> None:
    """Link-local addresses with an interface are nobody's mail server."""
    assert not is_allowed("fe80::1%eth0", "mail.example.es", 587, ProbeEnvironment())
