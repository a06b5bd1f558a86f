"""The headers of an `audio_url`: `audio_headers`, which may hold credentials. Pure.

They are sent to the origin of the URL alone. The service's own framing, and what asks for a part of the source, are not
the client's.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

FIELD = "audio_headers"
MAX_HEADERS = 16
MAX_BYTES = 8 << 10  # names and values
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110, 5.6.2
VALUE = re.compile(r"[!-~](?:[!-~ \t]*[!-~])?")  # RFC 9110, 5.5, in ASCII
REFUSED = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer"),
        *("proxy-connection", "proxy-authorization", "proxy-authenticate", "http2-settings", "expect"),
        *("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
        "accept-encoding",  # the source is stored as it is sent
    }
)
CONTENT = "content-"  # a GET has no content
FORM = f"must be an object of at most {MAX_HEADERS} headers and {MAX_BYTES} bytes, each value a string"


def why_no_headers(value: Any) -> str | None:
    """Return what is wrong with the value of a client, to follow the field's name; None if nothing is.

    Messages show no value.
    """
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        return FORM
    if len(value) > MAX_HEADERS or sum(len(name) + len(text) for name, text in value.items()) > MAX_BYTES:
        return FORM
    if len({name.lower() for name in value}) < len(value):
        return "names a header twice"
    for name, text in value.items():
        if problem := _why_no_header(name, text):
            return problem
    return None


def _why_no_header(name: str, text: str) -> str | None:
    if not NAME.fullmatch(name):
        return "has an invalid name: letters, digits and !#$%&'*+-.^_`|~ are allowed"
    if name.lower() in REFUSED or name.lower().startswith(CONTENT):
        return f"must not contain `{name}`, which the service sets itself"
    if not VALUE.fullmatch(text):
        return f"has an invalid value of `{name}`: visible ASCII characters, with blanks between them, are allowed"
    return None


def names_of(headers: Mapping[str, str]) -> str:
    """Return the names, in lower case and in order, separated by commas: all that is stored unencrypted."""
    return ",".join(sorted(name.lower() for name in headers))


def encode_headers(headers: Mapping[str, str]) -> str:
    """Return the headers as JSON, to be sealed, with names in lower case."""
    return msgspec.json.encode({name.lower(): text for name, text in headers.items()}).decode()


def decode_headers(text: str) -> dict[str, str]:
    """Read what `encode_headers` wrote."""
    return msgspec.json.decode(text, type=dict[str, str])
