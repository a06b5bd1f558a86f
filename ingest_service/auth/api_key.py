"""An API key as text: `hr_<id>_<secret>`, 32 random bytes. Shown once; only its SHA-256 is kept. Pure."""

import base64
import hashlib
import re
import secrets

import msgspec

SECRET_BYTES = 32
ID_BYTES = 8
ID = re.compile("[0-9a-f]{16}")
KEY = re.compile(rb"hr_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made; `text` is for whoever asked for it, and for nobody else."""

    key_id: str
    text: str

    @property
    def digest(self) -> bytes:
        """What is kept of it."""
        return digest_of(self.text.encode())

    def __repr__(self) -> str:
        return f"NewKey({self.key_id!r}, …)"


def make_key() -> NewKey:
    """A key that nobody has."""
    key_id = secrets.token_hex(ID_BYTES)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    return NewKey(key_id, f"hr_{key_id}_{secret}")


def id_in(presented: bytes) -> str | None:
    """The id in what a client shows; None when it is no key of ours."""
    match = KEY.fullmatch(presented)
    return match[1].decode() if match else None


def is_key_id(text: str) -> bool:
    """Whether it could be one."""
    return ID.fullmatch(text) is not None


def digest_of(presented: bytes) -> bytes:
    """SHA-256: 256 random bits need no slow hash, which would only let strangers keep us busy."""
    return hashlib.sha256(presented).digest()
