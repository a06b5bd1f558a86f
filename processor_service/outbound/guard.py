"""Decides where requests for clients may go: to public addresses, and to others only when a setting says so.

Pure policy. Every URL comes from a client, so each could aim at what only this machine can reach. `guarded_connector`
asks about the address that it is about to connect to, so neither a name nor its DNS can get past this.
"""

import asyncio
import re
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
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


# A connector that makes no socket for an address that is refused.
#
# The address is judged after the name was looked up and just before the connection is made: what is judged is what is
# connected to. No connection is kept between requests.

# Of the addresses that one request tried: why each was refused, or None.
_verdicts: ContextVar[list[str | None]] = ContextVar("outbound_address_verdicts")


class TargetRefusedError(aiohttp.ClientError):
    """No address of the host may be connected to; says of which kind one of them is."""


class GuardedConnector(aiohttp.TCPConnector):
    """Connects only to where `target_guard` allows; of several addresses of a name, to those that it allows."""

    def __init__(
        self, resolver: AbstractResolver, *, allow_private: AllowPrivate, receive_buffer_bytes: int | None = None
    ) -> None:
        self._allow_private = allow_private
        self._receive_buffer_bytes = receive_buffer_bytes
        self._names = resolver
        super().__init__(
            resolver=resolver,
            socket_factory=self._open_socket,
            force_close=True,
            limit=0,  # tasks are limited, and each has one at a time
        )

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """As the library's; raises TargetRefusedError when it failed only because of refused addresses."""
        verdicts: list[str | None] = []
        token = _verdicts.set(verdicts)
        try:
            return await super().connect(*args, **kwargs)
        except aiohttp.ClientConnectorError as error:
            if verdicts and all(verdicts):
                raise TargetRefusedError(verdicts[0]) from error
            raise
        finally:
            _verdicts.reset(token)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """As the library's, and the resolver's end."""
        await super().close(abort_ssl=abort_ssl)
        await self._names.close()

    def _open_socket(self, target: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = target
        reason = refusal(str(address[0]), allow_private=self._allow_private)
        _verdicts.get().append(reason)
        if reason:
            raise PermissionError(reason)
        opened = socket.socket(family, kind, protocol)
        if self._receive_buffer_bytes:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        return opened


# Looks up the names of hosts that clients named, in threads of their own.
#
# A name server that hangs must not hold up the lookups that Postgres and Redis need: the loop has few threads for
# those.


class Resolver(AbstractResolver):
    """The system's resolver. Raises OSError for a name that has no address."""

    def __init__(self, *, at_once: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="outbound-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name, as numbers, in the order in which they should be tried."""
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        except UnicodeError as error:
            raise OSError("it cannot be a name") from error
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Wait for no lookup."""
        self._threads.shutdown(wait=False, cancel_futures=True)
