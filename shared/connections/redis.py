"""Where Redis is, as `HEADRACE_REDIS_URL` says: one server, or the Sentinels that know which one is the master.

    redis://[user:password@]host[:6379][/db]                        rediss:// the same over TLS; unix:///socket
    redis+sentinel://[user:password@]host[:26379],…/master[/db]     rediss+sentinel:// the same over TLS

The query may name `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`, `sentinel_username` and `sentinel_password`. TLS
is checked, the name in the certificate too, unless it says `ssl_check_hostname=false` or `ssl_cert_reqs=none`.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

# Finds the master of Redis anew at each attempt to connect, as long as Sentinels are there to ask.

T = TypeVar("T")


class FindsMasterAnew:
    """Put before redis-py's connection that Sentinels manage: an address is tried once.

    Redis-py asks once, then tries that address for as long as its connection's `retry` says: a worker that is to
    outlive any outage would knock at the dead master's door for ever.
    """

    retry: Any

    async def connect_to(self, address: tuple[str, int]) -> None:
        """One attempt; whoever asked for the address asks again."""
        patient, self.retry = self.retry, _Once()
        try:
            await super().connect_to(address)  # type: ignore[misc] # of the class that it is put before
        finally:
            self.retry = patient


class _Once:
    """Redis-py's `Retry`, with none."""

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], fail: Callable[[Exception], Awaitable[None]]) -> T:
        try:
            return await do()
        except Exception as error:
            await fail(error)
            raise


PLAIN = frozenset({"redis", "rediss", "unix"})
SENTINELS = frozenset({"redis+sentinel", "rediss+sentinel"})
SENTINEL_PORT = 26379
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
OF_TLS = frozenset({*FILES, "ssl_check_hostname", "ssl_cert_reqs"})
OF_SENTINELS = frozenset({"sentinel_username", "sentinel_password"})


class RedisPlace(msgspec.Struct, frozen=True, kw_only=True):
    """In redis-py's words. Without `sentinels`, `url` is that of the server."""

    url: str
    options: Mapping[str, Any]  # of connections to the server, besides what `url` says
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""  # the name by which Sentinels know it
    sentinel_options: Mapping[str, Any] = {}


def place_of(url: str) -> RedisPlace:
    """Read the URL; ValueError says what is wrong with it, and repeats no password."""
    parts = _split(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme not in PLAIN | SENTINELS:
        raise ValueError(f"its scheme must be one of {', '.join(sorted(PLAIN | SENTINELS))}")
    for name in FILES:
        if name in query and not Path(query[name]).is_file():
            raise ValueError(f"there is no file {name}={query[name]}")
    if parts.scheme in PLAIN:
        return RedisPlace(url=url, options=_checked_names(query) if parts.scheme == "rediss" else {})
    return _behind_sentinels(parts, query)


def why_no_redis(url: str) -> str:
    """What is wrong with the setting; empty: nothing."""
    try:
        if url:
            place_of(url)
    except ValueError as error:
        return f"HEADRACE_REDIS_URL is invalid: {error}"
    return ""


def _behind_sentinels(parts: SplitResult, query: Mapping[str, str]) -> RedisPlace:
    master, _, number = parts.path.strip("/").partition("/")
    if not master:
        raise ValueError("after the Sentinels' addresses it names the master: …:26379/<name>/0")
    if number and not number.isdecimal():
        raise ValueError("the database after the master's name is a number")
    if unknown := query.keys() - OF_TLS - OF_SENTINELS:
        raise ValueError(f"it has an unknown option: {min(unknown)}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    tls = _tls(query) if parts.scheme == "rediss+sentinel" else {}
    named = {"username": user, "password": password}
    asking = {name.removeprefix("sentinel_"): query.get(name, "") for name in OF_SENTINELS}
    return RedisPlace(
        url="",
        options={"db": int(number or 0), **tls, **{name: unquote(text) for name, text in named.items() if text}},
        sentinels=tuple(_address(host) for host in hosts.split(",")),
        master=unquote(master),
        sentinel_options={**tls, **{name: text for name, text in asking.items() if text}},
    )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # which repeats what it was given
        raise ValueError("it is no URL") from None


def _address(text: str) -> tuple[str, int]:
    parts = _split(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the port of a Sentinel is no number; is there a / or # in the password?") from None
    if not host:
        raise ValueError("an address of a Sentinel is missing")
    return host, port or SENTINEL_PORT


def _tls(query: Mapping[str, str]) -> dict[str, Any]:
    chosen = {name: query[name] for name in OF_TLS & query.keys() if name != "ssl_check_hostname"}
    wants_name = query.get("ssl_check_hostname", "true").lower() not in {"false", "0", "no", "off"}
    return {"ssl": True, **chosen, "ssl_check_hostname": wants_name, **_checked_names(query)}


def _checked_names(query: Mapping[str, str]) -> dict[str, Any]:
    """What redis-py would leave out if nothing is said: whose certificate it is."""
    if "ssl_check_hostname" in query:
        return {}
    return {"ssl_check_hostname": query.get("ssl_cert_reqs", "required") != "none"}
