"""Decides where requests for clients may go: to public addresses, and to others only when a setting says so.

Pure policy. Every URL comes from a client, so each could aim at what only this machine can reach. `guarded_connector`
asks about the address that it is about to connect to, so neither a name nor its DNS can get past this.
"""

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from yarl import URL

AllowPrivate = Literal["false", "loopback", "true"]
Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

HOST = re.compile(r"[A-Za-z0-9._:-]+")  # names (IDNA-encoded) and addresses; no zone of an interface


def _networks(text: str) -> Networks:
    return tuple(ip_network(one) for one in text.split())


LOOPBACK = _networks("127.0.0.0/8 ::1/128")
# 100.64.0.0/10 is shared by carriers, overlay networks and clusters.
PRIVATE = _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7")
# Of what IANA lists as special, and of what clouds answer their guests at. `is_global` of this Python and of later ones
# thinks otherwise about some of these.
NEVER: dict[str, Networks] = {
    "an unspecified address": _networks("0.0.0.0/8 ::/128"),
    "a link-local address": _networks("169.254.0.0/16 fe80::/10"),
    "a metadata address": _networks(
        "100.100.100.200/32 168.63.129.16/32 192.0.0.192/32 fd00:ec2::/32 fd20:ce::254/128"
    ),
    "a multicast address": _networks("224.0.0.0/4 ff00::/8"),
    "a reserved address": _networks(
        "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 "
        "100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 3fff::/20 5f00::/16 fec0::/10"
    ),
    # Addresses that hold another one (6to4, Teredo, translated, compatible, a site's own NAT64): nobody receives
    # webhooks there, and who knows what a router makes of them.
    "a transition address": _networks("::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 2001::/32 2002::/16"),
}
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")  # how a network without IPv4 reaches all of it: judged by what is inside


def refusal(address: str, *, allow_private: AllowPrivate) -> str | None:
    """What kind of address this is that must not be connected to; None when it may be."""
    try:
        outer = ip_address(address)
    except ValueError:
        return "no address"
    target = _inner(outer)
    if _is_in(target, LOOPBACK):
        return None if allow_private != "false" else "a loopback address"
    for kind, networks in NEVER.items():
        if _is_in(target, networks):
            return kind
    if _is_in(target, PRIVATE):
        return None if allow_private == "true" else "a private address"
    return None if _is_public(target) else "a reserved address"


def host_of(url: URL) -> str | None:
    """The name or address of its host, or None: what stands there can be neither."""
    return url.raw_host if url.raw_host and HOST.fullmatch(url.raw_host) else None


def refusal_of_url(url: URL, *, schemes: Collection[str], ports: Collection[int]) -> str | None:
    """What is wrong with a URL, before any name is looked up; None when it may be asked for. No ports: any."""
    if not host_of(url):
        return "it names no host"
    if url.scheme not in schemes:
        return f"its scheme is not {' or '.join(sorted(schemes))}"
    if ports and url.port not in ports:
        return f"its port is not {' or '.join(str(port) for port in sorted(ports))}"
    if url.raw_user is not None or url.raw_password is not None:
        return "it holds a user name or a password"
    return None


def _inner(address: Address) -> Address:
    """The IPv4 address that a packet to this one ends at, where that is certain."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_in(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _is_public(address: Address) -> bool:
    return address.is_global and (address.version == 4 or address in GLOBAL_UNICAST)
