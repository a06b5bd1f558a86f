"""Identifiers of jobs and tasks: UUID version 7 (RFC 9562), so that newer ids sort after older ones."""

import secrets
import time
import uuid


def new_id() -> uuid.UUID:
    """A fresh UUIDv7: 48 bits of Unix milliseconds, version and variant, 74 random bits."""
    unix_ms = time.time_ns() // 1_000_000
    value = (unix_ms & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)
