"""Which servers may be reached: public ones on mail ports, the test mailbox, and the networks of the setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Protocol

from cgcore.settings import Network

__all__ = ["MAIL_PORTS", "Permissions", "TrustedTarget", "is_allowed", "is_public", "may_connect", "unwrap"]

#: The ports of mail servers; any other port of a public address is refused, or we would be a port scanner.
MAIL_PORTS = frozenset({25, 26, 143, 465, 587, 993, 2525, 2587})

_Address = IPv4Address | IPv6Address

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052
# Ranges that ``is_global`` leaves in, or left in before Python 3.12.4.
_REFUSED = (
    ip_network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ip_network("64:ff9b:1::/48"),  # local NAT64, RFC 8215
    ip_network("fec0::/10"),  # site-local, RFC 3879
    ip_network("2001::/23"),  # protocol assignments, RFC 2928
    ip_network("100::/64"),  # discard, RFC 6666
    ip_network("5f00::/16"),  # segment routing, RFC 9602
    ip_network("3fff::/20"),  # documentation, RFC 9637
)


@dataclass(frozen=True, slots=True)
class TrustedTarget:
    """One exact server on loopback that may be reached although it is not public: the test mailbox, and its own CA."""

    host: str
    port: int
    ca_file: str = ""


class Permissions(Protocol):
    """What is allowed besides the public servers: networks, and single servers."""

    @property
    def allowed_networks(self) -> Sequence[Network]:
        """Networks whose servers may be reached although they are not public."""
        ...

    @property
    def only_trusted(self) -> bool:
        """Whether nothing but the single servers may be reached."""
        ...

    def trusted_target(self, host: str, port: int) -> TrustedTarget | None:
        """Return the trusted target of exactly this host and port, if there is one."""
        ...


def unwrap(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address carries (mapped, 6to4, Teredo, NAT64), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: _Address) -> bool:
    """Whether an address is public: not private, loopback, link-local, CGNAT, multicast or reserved."""
    inner = unwrap(address)
    if any(inner in network for network in _REFUSED if network.version == inner.version):
        return False
    return inner.is_global and not (inner.is_multicast or inner.is_reserved or inner.is_unspecified)


def is_allowed(text: str, host: str, port: int, permissions: Permissions) -> bool:
    """Whether one resolved address of ``host`` may be connected to on ``port``."""
    try:
        address = ip_address(text)
    except ValueError:  # a zone, as in fe80::1%eth0
        return False
    inner = unwrap(address)
    if permissions.only_trusted:
        return permissions.trusted_target(host, port) is not None and inner.is_loopback
    if any(inner in network for network in permissions.allowed_networks if network.version == inner.version):
        return True
    if permissions.trusted_target(host, port) is not None and inner.is_loopback:
        return True
    return is_public(address) and port in MAIL_PORTS


def may_connect(addresses: Sequence[str], host: str, port: int, permissions: Permissions) -> bool:
    """Whether *every* resolved address is allowed: one forbidden address among public ones is an attack, not a slip."""
    return bool(addresses) and all(is_allowed(text, host, port, permissions) for text in addresses)
