"""What the person who starts the stack chose, and the settings of the services that follow from it.

Choices are PORT, DATA_DIR and PROCESSORS, and JOB and CODE for `redrive`, and what an API key shall be or a
tenant may use; `HEADRACE_*` variables of the environment that are settings override what follows.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from deploy.local.ports import LOOPBACK
from deploy.local.terminal import LocalStackError
from shared.known_variables import UnknownVariable, unknown_variables

LOCAL_ENGINES = ("openai-whisper", "faster-whisper")  # those that need a model on this machine
MAX_PROCESSORS = 64


@dataclass(frozen=True)
class KeyChoices:
    """What an API key shall be, or which is to be revoked."""

    tenant: str = ""
    scopes: str = ""
    purpose: str = ""
    expires_days: str = ""
    key: str = ""


@dataclass(frozen=True)
class QuotaChoices:
    """A tenant's quotas as numbers, 0 for no limit, or `default`; those that are empty stay as they are."""

    bytes_a_day: str = ""
    audio_seconds_a_day: str = ""
    jobs_queued: str = ""
    uploads_at_once: str = ""


@dataclass(frozen=True)
class Choices:
    """What to run, and where; `overrides` are the settings that the environment has, `unknown` its
    `HEADRACE_*` variables that are no settings.

    `job` and `code` say what to redrive, and `api_key` by whose leave where keys are asked for.
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
        """Read and check them; raises LocalStackError."""
        unknown = unknown_variables(environ)
        no_settings = {one.name for one in unknown}
        return cls(
            port=_whole_number("PORT", environ.get("PORT") or "8000", 1, 65535),
            data_dir=Path(environ.get("DATA_DIR") or ".headrace").expanduser(),
            processors=_whole_number("PROCESSORS", environ.get("PROCESSORS") or "1", 0, MAX_PROCESSORS),
            overrides={
                name: value
                for name, value in environ.items()
                if name.startswith("HEADRACE_") and value and name not in no_settings
            },
            unknown=tuple(unknown),
            job=environ.get("JOB") or "",
            code=environ.get("CODE") or "",
            api_key=environ.get("API_KEY") or "",
            key=KeyChoices(**{field.name: environ.get(field.name.upper()) or "" for field in fields(KeyChoices)}),
            quotas=QuotaChoices(**{one.name: environ.get(one.name.upper()) or "" for one in fields(QuotaChoices)}),
        )


def settings_of(choices: Choices, blobs: Path, webhook_secret: str) -> dict[str, str]:
    """The `HEADRACE_*` settings in force, but for those of the embedded servers."""
    ours = {
        "HEADRACE_AUTH": "none",
        "HEADRACE_HOST": LOOPBACK,
        "HEADRACE_PORT": str(choices.port),
        "HEADRACE_STORAGE_URL": blobs.as_uri(),
        "HEADRACE_WEBHOOK_ALLOW_PRIVATE": "loopback",
        "HEADRACE_WEBHOOK_SECRET": webhook_secret,
        "HEADRACE_TRANSCRIBER": LOCAL_ENGINES[0],
        "HEADRACE_MODEL": "base",
        "HEADRACE_MODEL_DIR": str(Path(sys.prefix) / "models"),  # shared by all stacks of this environment
    }
    return {**ours, **choices.overrides}


def address(settings: Mapping[str, str]) -> tuple[str, int]:
    """Host and port of the ingest service."""
    return settings["HEADRACE_HOST"], _whole_number("HEADRACE_PORT", settings["HEADRACE_PORT"], 1, 65535)


def base_url(settings: Mapping[str, str]) -> str:
    """Where clients of this machine find the ingest service."""
    host, port = address(settings)
    reachable = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"http://{reachable}:{port}"


def _whole_number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise LocalStackError(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)
