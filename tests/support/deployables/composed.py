"""deploy/compose.yaml, parsed, and the environments of its containers."""

from pathlib import Path
from typing import Any

import msgspec

from tests.support.stack.launched import ROOT

COMPOSE: dict[str, Any] = msgspec.yaml.decode((ROOT / "deploy/compose.yaml").read_bytes())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"bucket", "migrate"}
OURS = ("ingest", "processor")


def environ_of(service: str, secrets: Path) -> dict[str, str]:
    """Return the environment that Compose gives a container, without its image's own."""
    environ: dict[str, str] = {}
    for name in SERVICES[service].get("env_file", ()):
        lines = (secrets / Path(name).name).read_text().splitlines()
        environ |= dict(line.split("=", 1) for line in lines)
    return environ | {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}


def seconds(text: str) -> float:
    """Parse a duration such as 45s."""
    assert text.endswith("s"), text
    return float(text[:-1])


def bytes_of(text: str) -> int:
    """Parse a size such as 512M, 6G, 6Gi or 512Mi. All units are powers of two."""
    units = {"M": 1 << 20, "G": 1 << 30}
    number, unit = text.removesuffix("i")[:-1], text.removesuffix("i")[-1]
    return int(number) * units[unit]
