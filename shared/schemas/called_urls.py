"""The form of URLs that clients give the service to call: `webhook_url` and `audio_url`. Pure.

The ingest refuses a URL that can never be called, the processor writes its host as the network knows it.
"""

import ipaddress
import re

import idna

# Blanks and control characters, for a class of an expression. `\s` differs between JavaScript, Python and Rust.
BLANKS = r"\x00-\x20\x7f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
URL = re.compile(rf"(?P<scheme>(?i:https?))://(?P<authority>[^{BLANKS}\\/?#@]+)(?:[/?#][^\x00-\x1f\x7f]*)?")
AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]*))?", re.ASCII)
LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")  # of a last label: the name is an IPv4 address for every resolver
MAX_NAME_CHARS = 253
MAX_PORT = 65_535

FORM = "must be an http or https URL without user name and password, such as https://example.com/path"
HOST = "must name a host: a domain name, an IPv4 address of four decimal numbers, or an IPv6 address in brackets"
PORT = f"must have a port from 1 to {MAX_PORT}, or none"


def why_never_called(url: str) -> str | None:
    """Return what a URL must be, to follow the option's name; None if it can be called."""
    found = URL.fullmatch(url)
    if found is None:
        return FORM
    if ascii_host(found["authority"]) is None:
        return HOST
    return None if has_valid_port(found["authority"]) else PORT


def shown_host(url: str) -> str | None:
    """Return the host of a URL: all of it that logs and lists show. None for an invalid URL."""
    found = URL.fullmatch(url)
    return ascii_host(found["authority"]) if found else None


def has_valid_port(authority: str) -> bool:
    """Return whether the authority has no port, or one that can be called."""
    parts = AUTHORITY.fullmatch(authority)
    return parts is not None and (not parts["port"] or 1 <= int(parts["port"].lstrip("0")[:6] or "0") <= MAX_PORT)


def ascii_host(authority: str) -> str | None:
    """Return an authority's host in lower-case ASCII, IPv6 in brackets; None if it has no valid host."""
    parts = AUTHORITY.fullmatch(authority)
    if parts is None:
        return None
    return _ipv6(parts["ipv6"]) if parts["ipv6"] is not None else _name(parts["name"])


def _ipv6(text: str) -> str | None:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return None if address.scope_id else f"[{address}]"  # an interface of the client's machine means nothing here


def _name(text: str) -> str | None:
    """Return a domain name or an IPv4 address. Other spellings of an address are refused: clients differ on them."""
    if len(text) > MAX_NAME_CHARS + 1:
        return None
    try:
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        return None
    labels = name.removesuffix(".").split(".")
    if len(name) > MAX_NAME_CHARS + 1 or not all(map(LABEL.fullmatch, labels)):
        return None
    return name if not NUMBER.fullmatch(labels[-1]) or _is_ipv4(name) else None


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
