"""Hooks of schemathesis for tus: how to send a part of an upload."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def part(_: Any, value: Any) -> bytes:
    """The bytes as they are; of what is no bytes, and so to be refused, the text."""
    return value if isinstance(value, bytes) else str(value).encode()
