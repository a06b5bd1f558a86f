"""Which request heads RFC 9112 calls invalid although the parser accepts them. No I/O.

What two parties on the way read differently is refused: a proxy must not see another request than we do.
"""

import re
from collections.abc import Iterable

TARGET = rb"[^\s\x00-\x20\x7f-\xff#\\]+"  # ASCII without spaces, control characters, fragment and backslash
LINE = re.compile(rb"[A-Z]+ " + TARGET + rb" HTTP/1\.[01]\r?\n")
ORIGIN = re.compile(rb"/(?:[^%?]|%[0-9A-Fa-f]{2})*(?:\?.*)?")
ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)([/?].*)?")
# A name, an IPv4 address or an IPv6 address in brackets, and a port.
HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
# Headers of which a second one would contradict the first. `Content-Length` is the parser's.
SINGLE = frozenset(
    {
        b"content-type",
        b"expect",
        b"host",
        b"if-range",
        b"last-event-id",
        b"range",
        b"tus-resumable",
        b"upload-checksum",
        b"upload-defer-length",
        b"upload-length",
        b"upload-metadata",
        b"upload-offset",
        b"x-http-method-override",
    }
)


def is_request_line(begin: bytes) -> bool | None:
    """Whether a request begins with a valid line; None while the line is incomplete. Ignores leading empty lines."""
    if LINE.match(begin):
        return True
    begin = begin.lstrip(b"\r\n")
    return None if b"\n" not in begin else bool(LINE.match(begin))


def is_valid_head(target: bytes, version: str, method: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether version, target, `Host` and framing are valid together. Header names are in lower case."""
    hosts = [value for name, value in headers if name == b"host"]
    if version == "1.1":
        is_valid = len(hosts) == 1
    else:  # HTTP/1.0 has no transfer codings, and needs no `Host`
        is_valid = version == "1.0" and not any(name == b"transfer-encoding" for name, _ in headers)
    return is_valid and all(map(HOST.fullmatch, hosts)) and _is_valid_target(target, method, hosts)


def _is_valid_target(target: bytes, method: bytes, hosts: list[bytes]) -> bool:
    if target.startswith(b"/"):
        return b"%" not in target or ORIGIN.fullmatch(target) is not None
    if target == b"*":
        return method == b"OPTIONS"
    absolute = ABSOLUTE.fullmatch(target)
    return absolute is not None and all(host.lower() == absolute[1].lower() for host in hosts)
