"""Parse `HEADRACE_REDIS_URL`: the addresses of one or several Redis, each a server or the Sentinels that name a master.

    redis://[user:password@]host[:6379][/db]                        rediss:// the same over TLS; unix:///socket
    redis+sentinel://[user:password@]host[:26379],…/master[/db]     rediss+sentinel:// the same over TLS

The query may set `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `sentinel_username` and `sentinel_password`. The
certificate and its host name are verified, except with `ssl_check_hostname=false` or `ssl_cert_reqs=none`.

Several URLs are separated by white space or commas. Each is a shard with a name, from which tenants are hashed to it:
`name=` in the query, else `host:port/db` or `master/db`. A Redis that moves to another host keeps its tenants only if
it keeps its name.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import msgspec

from shared.secret import repr_hiding

PLAIN = frozenset({"redis", "rediss", "unix"})
SENTINELS = frozenset({"redis+sentinel", "rediss+sentinel"})
REDIS_PORT = 6379
SENTINEL_PORT = 26379
NEXT_URL = re.compile(r"[\s,]+(?=[a-z+]+://)")  # the commas between Sentinels are followed by an address
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_OPTIONS = frozenset({*FILES, "ssl_check_hostname", "ssl_cert_reqs"})
SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Options have redis-py's names. Without `sentinels`, `url` is the URL of the server."""

    url: str
    name: str  # of the shard
    options: Mapping[str, Any]  # of connections to the server, in addition to `url`
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""  # its name in the Sentinels' configuration
    sentinel_options: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return repr_hiding(self, "url", "options", "sentinel_options")


def parse_redis_url(url: str) -> RedisAddress:
    """Parse the URL. Raise ValueError with the reason, which never contains a password."""
    parts = _split(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme not in PLAIN | SENTINELS:
        raise ValueError(f"the scheme must be one of {', '.join(sorted(PLAIN | SENTINELS))}")
    for name in FILES:
        if name in query and not Path(query[name]).is_file():
            raise ValueError(f"file not found: {name}={query[name]}")
    name = query.pop("name", "")
    if parts.scheme in PLAIN:
        return RedisAddress(
            url=urlunsplit(parts._replace(query=urlencode(query))) if name else url,
            name=name or _server_name(parts, query),
            options=_hostname_check(query) if parts.scheme == "rediss" else {},
        )
    return _sentinel_address(parts, query, name)


def parse_redis_urls(text: str) -> tuple[RedisAddress, ...]:
    """Parse one or several URLs. Raise ValueError with the reason, also if two have the same name."""
    addresses = tuple(parse_redis_url(url) for url in NEXT_URL.split(text.strip()))
    names = [address.name for address in addresses]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two URLs have the name {repeated[0]}; set another in the query: ?name=…")
    return addresses


def why_no_redis(url: str) -> str:
    """Return what is wrong with the setting, or an empty string."""
    try:
        if url:
            parse_redis_urls(url)
    except ValueError as error:
        return f"HEADRACE_REDIS_URL is invalid: {error}"
    return ""


def _server_name(parts: SplitResult, query: Mapping[str, str]) -> str:
    if parts.scheme == "unix":
        return f"{parts.path}/{query.get('db', 0)}"
    try:
        port = parts.port or REDIS_PORT
    except ValueError:
        raise ValueError("invalid port; percent-encode / and # in the password") from None
    return f"{parts.hostname or 'localhost'}:{port}/{query.get('db') or parts.path.strip('/') or 0}"


def _sentinel_address(parts: SplitResult, query: Mapping[str, str], name: str) -> RedisAddress:
    master, _, number = parts.path.strip("/").partition("/")
    if not master:
        raise ValueError("the name of the master is missing after the Sentinels' addresses: …:26379/<name>/0")
    if number and not number.isdecimal():
        raise ValueError("the database after the master's name must be a number")
    if unknown := query.keys() - TLS_OPTIONS - SENTINEL_OPTIONS:
        raise ValueError(f"unknown option: {min(unknown)}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    tls = _tls(query) if parts.scheme == "rediss+sentinel" else {}
    server_login = {"username": user, "password": password}
    sentinel_login = {name.removeprefix("sentinel_"): query.get(name, "") for name in SENTINEL_OPTIONS}
    return RedisAddress(
        url="",
        name=name or f"{unquote(master)}/{number or 0}",
        options={"db": int(number or 0), **tls, **{name: unquote(text) for name, text in server_login.items() if text}},
        sentinels=tuple(_address(host) for host in hosts.split(",")),
        master=unquote(master),
        sentinel_options={**tls, **{name: text for name, text in sentinel_login.items() if text}},
    )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # its message repeats the URL
        raise ValueError("not a URL") from None


def _address(text: str) -> tuple[str, int]:
    parts = _split(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("invalid port of a Sentinel; percent-encode / and # in the password") from None
    if not host:
        raise ValueError("the address of a Sentinel is missing")
    return host, port or SENTINEL_PORT


def _tls(query: Mapping[str, str]) -> dict[str, Any]:
    given = {name: query[name] for name in TLS_OPTIONS & query.keys() if name != "ssl_check_hostname"}
    check_hostname = query.get("ssl_check_hostname", "true").lower() not in {"false", "0", "no", "off"}
    return {"ssl": True, **given, "ssl_check_hostname": check_hostname, **_hostname_check(query)}


def _hostname_check(query: Mapping[str, str]) -> dict[str, Any]:
    """Verify the host name by default; redis-py does not."""
    if "ssl_check_hostname" in query:
        return {}
    return {"ssl_check_hostname": query.get("ssl_cert_reqs", "required") != "none"}
