"""The guard of outbound requests: connects to public addresses, and to others only when a setting allows it.

Clients choose the URLs, so a URL could name a host that only this machine can reach. The connector checks the resolved
address immediately before it connects, so DNS cannot bypass the check. It keeps no connection between requests.
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
# From IANA's special-purpose registries, and the metadata addresses of clouds. Python's `is_global` classifies some of
# them differently, and its answer varies between versions.
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
    # Addresses that embed another one (6to4, Teredo, translated, compatible, a site's own NAT64): no endpoint uses
    # them, and routers may forward them to the embedded address.
    "a transition address": _networks("::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 2001::/32 2002::/16"),
}
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")  # IPv6-only networks reach IPv4 through it: the embedded address is checked


def refusal(address: str, *, allow_private: AllowPrivate) -> str | None:
    """Return the kind of a forbidden address; None when the address is allowed."""
    try:
        outer = ip_address(address)
    except ValueError:
        return "an invalid address"
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
    """Return the host name or address of a URL; None when it has no valid one."""
    return url.raw_host if url.raw_host and HOST.fullmatch(url.raw_host) else None


def refusal_of_url(url: URL, *, schemes: Collection[str], ports: Collection[int]) -> str | None:
    """Return why a URL is refused, without resolving its host; None when it is allowed. No ports: any port."""
    if not host_of(url):
        return "it names no host"
    if url.scheme not in schemes:
        return f"its scheme is not {' or '.join(sorted(schemes))}"
    if ports and url.port not in ports:
        return f"its port is not {' or '.join(str(port) for port in sorted(ports))}"
    if url.raw_user is not None or url.raw_password is not None:
        return "it contains a user name or a password"
    return None


def _inner(address: Address) -> Address:
    """Return the embedded IPv4 address that packets reach, where that is certain; else the address itself."""
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


# For each address that one request tried: why it was refused, or None.
_verdicts: ContextVar[list[str | None]] = ContextVar("outbound_address_verdicts")


class TargetRefusedError(aiohttp.ClientError):
    """Every address of the host is refused; the message is the kind of the first one."""


class GuardedConnector(aiohttp.TCPConnector):
    """Connects to allowed addresses only; skips the forbidden ones of a host with several addresses."""

    def __init__(
        self,
        resolver: AbstractResolver,
        *,
        allow_private: AllowPrivate,
        receive_buffer_bytes: int | None = None,
        limit_per_host: int = 0,
    ) -> None:
        self._allow_private = allow_private
        self._receive_buffer_bytes = receive_buffer_bytes
        self._resolver_to_close = resolver
        super().__init__(
            resolver=resolver,
            socket_factory=self._open_socket,
            force_close=True,
            limit=0,  # the number of tasks is limited, and each uses one connection
            limit_per_host=limit_per_host,
        )

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """Connect as aiohttp does. Raise TargetRefusedError when every address was refused."""
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
        """Close the connector and its resolver."""
        await super().close(abort_ssl=abort_ssl)
        await self._resolver_to_close.close()

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


class Resolver(AbstractResolver):
    """The system's resolver, in its own threads: a name server that hangs does not block lookups of Postgres and Redis.

    Raises OSError for a name without an address.
    """

    def __init__(self, *, at_once: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="outbound-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return all addresses of a name, in the order in which to try them."""
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        except UnicodeError as error:
            raise OSError("invalid host name") from error
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
        """Cancel queued lookups; do not wait for running ones."""
        self._threads.shutdown(wait=False, cancel_futures=True)
