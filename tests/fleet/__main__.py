"""`python -m tests.fleet`: Headrace on many hosts, of which one machine has the part, and prints one JSON object last.

Exit status 1 when something was lost or doubled, or a number does not hold; 0 where this machine lets nobody have
network namespaces, and the object says so.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from deploy.local.processes import Processes
from deploy.local.services import prepare_model
from deploy.local.terminal import LocalStackError
from tests.fleet.allowed import why_not
from tests.fleet.demo import MODEL
from tests.fleet.namespaces import run_inside
from tests.fleet.report import skipped
from tests.fleet.scenarios import SCENARIOS


def main() -> int:
    arguments = _arguments()
    if why := why_not():
        print(json.dumps(skipped(why), indent=2))
        return 0
    with tempfile.TemporaryDirectory(prefix="headrace-fleet-") as base:
        Path(base).chmod(0o755)  # PostgreSQL runs as nobody
        return _run(arguments, base)


def _run(arguments: argparse.Namespace, base: str) -> int:
    passed_on = ["--base", base, "--seed", str(arguments.seed), "--scenarios", arguments.scenarios]
    if (model_dir := _model_dir()) is not None:
        passed_on += ["--model-dir", str(model_dir)]
    if arguments.logs:
        passed_on += ["--logs", str(arguments.logs.absolute())]
    return run_inside("tests.fleet.inside", passed_on)


def _model_dir() -> Path | None:
    """Where the demo's model is, fetched before we are in a network of our own; None when it cannot be had."""
    folder = Path(os.environ.get("HEADRACE_MODEL_DIR") or Path(sys.prefix) / "models").absolute()
    settings = {
        "HEADRACE_TRANSCRIBER": "openai-whisper",
        "HEADRACE_MODEL": MODEL,
        "HEADRACE_MODEL_DIR": str(folder),
    }
    try:
        asyncio.run(prepare_model(Processes(), settings))
    except LocalStackError as error:
        print(f"fleet: {error} The demo goes without one.", file=sys.stderr)
        return None
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenarios", default="", help=f"of {','.join(SCENARIOS)}; all by default")
    parser.add_argument("--logs", type=Path, help="a folder that keeps what the services wrote")
    arguments = parser.parse_args()
    if unknown := set(filter(None, arguments.scenarios.split(","))) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
