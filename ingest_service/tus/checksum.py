"""`Upload-Checksum`: what a client says the bytes of one request hash to. Pure."""

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from ingest_service.errors import RefusedError

ALGORITHMS = ("sha1", "sha256")  # the first is the one that every tus server knows; it guards against accidents only


class Checksum(msgspec.Struct, frozen=True):
    """The algorithm's name and the digest to expect."""

    algorithm: str
    digest: bytes

    def hasher(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def verify(self, hasher: Any) -> None:
        """Raise RefusedError `checksum_mismatch` unless what was hashed is what was announced."""
        if hasher.digest() != self.digest:
            raise RefusedError("checksum_mismatch", f"The {self.algorithm} of the bytes is another; send them again.")


def parse_checksum(header: str | None) -> Checksum | None:
    """The header's checksum, if there is one; RefusedError `invalid_upload` when it cannot be one."""
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise RefusedError("invalid_upload", f"`Upload-Checksum` may use {' or '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise RefusedError("invalid_upload", f"`Upload-Checksum` is not a {algorithm} in base64.")
    return Checksum(algorithm, digest)
