"""The fingerprint of a submission: what makes it the same as another, sent under the same `Idempotency-Key`."""

import hashlib

import msgspec

from shared.schemas.options import SubmitOptions


def fingerprint(source: str, options: SubmitOptions) -> str:
    """Of the source, by its sha256 or its URL, and of all that was asked; not of its name, nor of how it was sent."""
    asked = msgspec.json.encode(options, order="sorted")
    return hashlib.sha256(source.encode() + b"\n" + asked).hexdigest()
