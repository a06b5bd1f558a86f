"""Options of the local stack, read from the environment, and the settings of the services.

`HEADRACE_*` variables that are settings override the defaults of the stack.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from deploy.local.ports import LOOPBACK
from deploy.local.terminal import LocalStackError
from processor_service.transcribers.engines import DEFAULT_ENGINE
from shared.known_variables import CLIENT_VARIABLES, UnknownVariable, unknown_variables

MAX_PROCESSORS = 64


@dataclass(frozen=True)
class KeyChoices:
    """Properties of a new API key; `key` is the one to revoke."""

    tenant: str = ""
    scopes: str = ""
    purpose: str = ""
    expires_days: str = ""
    key: str = ""


@dataclass(frozen=True)
class QuotaChoices:
    """A tenant's limits: a number (0: no limit), or `default`; a queue's name. Empty ones stay unchanged."""

    bytes_a_day: str = ""
    audio_seconds_a_day: str = ""
    jobs_queued: str = ""
    uploads_at_once: str = ""
    queue: str = ""


@dataclass(frozen=True)
class Choices:
    """Options of a command. `overrides`: settings of the environment. `unknown`: its unknown `HEADRACE_*` variables.

    `job` and `code` select what to redrive; `api_key` authorizes it if the service requires keys.
    """

    port: int
    data_dir: Path
    processors: int
    overrides: Mapping[str, str]
    unknown: tuple[UnknownVariable, ...] = ()
    job: str = ""
    code: str = ""
    api_key: str = ""
    key: KeyChoices = KeyChoices()
    quotas: QuotaChoices = QuotaChoices()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Choices":
        """Read and check the options. Raise LocalStackError."""
        unknown = unknown_variables(environ)
        left_out = {one.name for one in unknown} | CLIENT_VARIABLES
        return cls(
            port=_whole_number("PORT", environ.get("PORT") or "8000", 1, 65535),
            data_dir=Path(environ.get("DATA_DIR") or ".headrace").expanduser(),
            processors=_whole_number("PROCESSORS", environ.get("PROCESSORS") or "1", 0, MAX_PROCESSORS),
            overrides={
                name: value
                for name, value in environ.items()
                if name.startswith("HEADRACE_") and value and name not in left_out
            },
            unknown=tuple(unknown),
            job=environ.get("JOB") or "",
            code=environ.get("CODE") or "",
            api_key=environ.get("API_KEY") or "",
            key=KeyChoices(**{field.name: environ.get(field.name.upper()) or "" for field in fields(KeyChoices)}),
            quotas=QuotaChoices(**{one.name: environ.get(one.name.upper()) or "" for one in fields(QuotaChoices)}),
        )


def settings_of(choices: Choices, blobs: Path, webhook_secret: str, encryption_key: str) -> dict[str, str]:
    """Return the effective `HEADRACE_*` settings, without those of the embedded servers."""
    defaults = {
        "HEADRACE_AUTH": "none",
        "HEADRACE_HOST": LOOPBACK,
        "HEADRACE_PORT": str(choices.port),
        "HEADRACE_STORAGE_URL": blobs.as_uri(),
        "HEADRACE_WEBHOOK_ALLOW_PRIVATE": "loopback",
        "HEADRACE_WEBHOOK_SECRET": webhook_secret,
        "HEADRACE_ENCRYPTION_KEYS": encryption_key,
        "HEADRACE_TRANSCRIBER": DEFAULT_ENGINE,
        "HEADRACE_MODEL": "base",
        "HEADRACE_MODEL_DIR": str(Path(sys.prefix) / "models"),  # shared by all stacks of this environment
    }
    return {**defaults, **choices.overrides}


def address(settings: Mapping[str, str]) -> tuple[str, int]:
    """Return host and port of the ingest service."""
    return settings["HEADRACE_HOST"], _whole_number("HEADRACE_PORT", settings["HEADRACE_PORT"], 1, 65535)


def base_url(settings: Mapping[str, str]) -> str:
    """Return the URL of the ingest service for clients on this machine."""
    host, port = address(settings)
    reachable = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"http://{reachable}:{port}"


def _whole_number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise LocalStackError(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)
