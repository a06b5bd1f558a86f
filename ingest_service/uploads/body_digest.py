"""Checks the digests that a request declares of its content, `Content-Digest` and `Repr-Digest` (RFC 9530).

We take no content coding, so both are of the bytes of the body as they come off the socket, a form's too.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from litestar.types import Receive

from ingest_service.errors import RefusedError

ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
# A member of a structured dictionary whose value is a byte sequence (RFC 9651, 3.2 and 3.3.5); parameters are ignored.
PARAMETER = r"[ ]*;[ ]*[a-z*][a-z0-9_.*-]*(?:=[A-Za-z0-9.*:/+=?\"-]*)?"
MEMBER = re.compile(rf"[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={{0,2}}):(?:{PARAMETER})*[ \t]*")


class Digest(msgspec.Struct, frozen=True):
    """A digest that a request declares."""

    algorithm: str
    value: bytes


def parse_digests(header: str) -> list[Digest]:
    """The digests that we know of a header; others are ignored. RefusedError `invalid_digest`."""
    members = [MEMBER.fullmatch(member) for member in header.split(",")] if header.strip() else []
    return [_digest(match[1], match[2]) for match in map(_present, members) if match[1] in ALGORITHMS]


def with_checked_digests(receive: Receive, headers: Iterable[str]) -> Receive:
    """A `receive` whose last message comes only if the whole body is as declared.

    It raises RefusedError `digest_mismatch` in its stead; RefusedError `invalid_digest` comes at once.
    """
    declared = [digest for header in headers for digest in parse_digests(header)]
    if not declared:
        return receive
    hashes = [ALGORITHMS[digest.algorithm]() for digest in declared]

    async def checked() -> Any:
        message: Any = await receive()
        if message["type"] == "http.request":
            for running in hashes:
                running.update(message.get("body", b""))
            if not message.get("more_body", False):
                _compare(declared, [running.digest() for running in hashes])
        return message

    return checked


def _compare(declared: Sequence[Digest], found: Sequence[bytes]) -> None:
    for digest, value in zip(declared, found, strict=True):
        if not hmac.compare_digest(digest.value, value):
            raise RefusedError("digest_mismatch", f"The {digest.algorithm} of the content is not the declared one.")


def _present(match: re.Match[str] | None) -> re.Match[str]:
    if match is None:
        raise RefusedError("invalid_digest", "A digest field is not a list like `sha-256=:base64:`.")
    return match


def _digest(algorithm: str, text: str) -> Digest:
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        value = b""
    if len(value) != ALGORITHMS[algorithm]().digest_size:
        raise RefusedError("invalid_digest", f"The {algorithm} digest does not have its length.")
    return Digest(algorithm, value)
