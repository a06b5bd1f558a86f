"""Encrypts what must not be readable in the database or in a backup of it, with keys of a setting.

XChaCha20-Poly1305 by libsodium: its nonces are long enough to be random. The text is bound to a context, such as the id
of a job: a row that was copied to another job cannot be opened there.
"""

import base64
import binascii

from shared.secret import Secret

KEY_BYTES = 32
FORM = "the base64 of 32 random bytes, as `openssl rand -base64 32` makes them; several are separated by commas"


class NotOpenedError(Exception):
    """No key opens the text: the key was removed, or the text was changed."""


class Seal:
    """Seals with the first key, and opens with any of them. Raises ValueError for malformed keys."""

    def __init__(self, keys: Secret) -> None:
        # Most services seal nothing.
        from nacl.secret import Aead

        self._boxes = [Aead(key) for key in _decoded(keys)]

    def seal(self, text: str, context: str) -> str:
        """Return the text encrypted, as base64."""
        return base64.b64encode(self._boxes[0].encrypt(text.encode(), context.encode())).decode()

    def open(self, sealed: str, context: str) -> str:
        """Return the text. Raise NotOpenedError."""
        from nacl.exceptions import CryptoError

        try:
            data = base64.b64decode(sealed, validate=True)
        except ValueError:
            raise NotOpenedError from None
        for box in self._boxes:
            try:
                return box.decrypt(data, context.encode()).decode()
            except (CryptoError, ValueError):
                continue
        raise NotOpenedError


def open_seal(keys: Secret) -> Seal | None:
    """Return the seal of a setting; None if it is empty."""
    return Seal(keys) if keys else None


def why_no_seal(keys: Secret) -> str:
    """Return what is wrong with the setting; empty if nothing is."""
    try:
        _decoded(keys)
    except ValueError:
        return f"HEADRACE_ENCRYPTION_KEYS must be {FORM}"
    return ""


def _decoded(keys: Secret) -> list[bytes]:
    texts = [text.strip() for text in keys.reveal().split(",")] if keys else []
    try:
        decoded = [base64.b64decode(text, validate=True) for text in texts]
    except binascii.Error:
        raise ValueError(FORM) from None
    if any(len(key) != KEY_BYTES for key in decoded):
        raise ValueError(FORM)
    return decoded
