"""DATA_DIR: the folder with all data of the local stack, and the lock that allows one stack at a time."""

import base64
import fcntl
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.local.terminal import LocalStackError

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


class DataDir:
    """The folder and its paths. Only the owner can read it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.postgres = self.root / "postgres"
        self.valkey = self.root / "valkey"
        self.blobs = self.root / "blobs"
        self.secrets = self.root / "secrets"
        self.run = self.root / "run"
        self.stack_env = self.run / "stack.env"

    def open(self) -> None:
        """Create the missing folders."""
        for folder in (self.root, self.secrets, self.run, self.valkey, self.blobs):
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock during a block. Raise LocalStackError if another stack holds it. It ends with this process."""
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalStackError(
                    f"A stack already runs on {self.root}. Stop it, or set another DATA_DIR and PORT."
                ) from None
            yield

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def processor_pids(self) -> list[int]:
        """Return the process ids of the running processors."""
        pids = []
        for path in self.run.glob("processor-*.pid"):
            with suppress(FileNotFoundError):  # the process has just ended
                pids.append(int(path.read_text()))
        return pids

    def clear_run(self) -> None:
        """Remove the files of an earlier stack that was killed."""
        for path in (*self.run.glob("*.pid"), self.stack_env):
            path.unlink(missing_ok=True)

    def write_stack_env(self, settings: Mapping[str, str]) -> None:
        """Write the effective settings as lines that a shell can source."""
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in sorted(settings.items()))
        write_private(self.stack_env, "".join(lines))


def write_private(path: Path, text: str) -> None:
    """Write a file atomically; only its owner can read it."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "w") as file:
        file.write(text)
    fresh.replace(path)


def read_stack_env(path: Path) -> dict[str, str]:
    """Return the settings of the running stack. Raise LocalStackError if none runs."""
    try:
        words = shlex.split(path.read_text())
    except FileNotFoundError:
        raise LocalStackError(f"No stack runs on {path.parent.parent}: {path.name} does not exist.") from None
    return dict(word.split("=", 1) for word in words)


def stored_password(path: Path) -> str:
    """Return the password in a file; create the file if it is missing."""
    return _kept(path, secrets.token_hex(24))


def stored_webhook_secret(path: Path) -> str:
    """Return the secret that signs webhooks, in the form of Standard Webhooks: `whsec_` and base64 of 32 bytes."""
    return _kept(path, "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())


def stored_encryption_key(path: Path) -> str:
    """Return the key that encrypts `audio_headers`."""
    return _kept(path, base64.b64encode(secrets.token_bytes(32)).decode())


def _kept(path: Path, fresh: str) -> str:
    if not path.exists():
        write_private(path, fresh + "\n")
    return path.read_text().strip()
