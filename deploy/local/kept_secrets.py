"""Passwords and keys of the local stack: made on first run, kept in DATA_DIR, readable by its owner only."""

import base64
import secrets
from pathlib import Path

from deploy.local.data_dir import write_private


def kept_password(path: Path) -> str:
    """The password in a file, made when there is none."""
    return _kept(path, secrets.token_hex(24))


def kept_webhook_secret(path: Path) -> str:
    """The secret that signs webhooks, as Standard Webhooks writes it: `whsec_` and base64 of 32 bytes."""
    return _kept(path, "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())


def _kept(path: Path, fresh: str) -> str:
    if not path.exists():
        write_private(path, fresh + "\n")
    return path.read_text().strip()
