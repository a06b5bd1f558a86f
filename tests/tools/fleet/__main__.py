"""`python -m tests.tools.fleet`: run Headrace on many simulated hosts; one JSON object last.

Exit status 1 when a job was lost or duplicated or a limit was exceeded. Exit status 0 when all is well, or when this
machine does not allow network namespaces; the object then has `skipped` and `why`.
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
from tests.tools.fleet.allowed import unavailable_reason
from tests.tools.fleet.demo import MODEL
from tests.tools.fleet.namespaces import run_inside
from tests.tools.fleet.report import skipped
from tests.tools.fleet.scenarios import SCENARIOS


def main() -> int:
    arguments = _arguments()
    if why := unavailable_reason():
        print(json.dumps(skipped(why), indent=2))
        return 0
    with tempfile.TemporaryDirectory(prefix="headrace-fleet-") as base:
        Path(base).chmod(0o755)  # PostgreSQL runs as nobody
        return _run(arguments, base)


def _run(arguments: argparse.Namespace, base: str) -> int:
    forwarded = ["--base", base, "--seed", str(arguments.seed), "--scenarios", arguments.scenarios]
    if (model_dir := _model_dir()) is not None:
        forwarded += ["--model-dir", str(model_dir)]
    if arguments.logs:
        forwarded += ["--logs", str(arguments.logs.absolute())]
    return run_inside("tests.tools.fleet.inside", forwarded)


def _model_dir() -> Path | None:
    """Return the folder of the demo's model; None when the download fails. The fleet itself has no internet."""
    folder = Path(os.environ.get("HEADRACE_MODEL_DIR") or Path(sys.prefix) / "models").absolute()
    settings = {
        "HEADRACE_TRANSCRIBER": "openai-whisper",
        "HEADRACE_MODEL": MODEL,
        "HEADRACE_MODEL_DIR": str(folder),
    }
    try:
        asyncio.run(prepare_model(Processes(), settings))
    except LocalStackError as error:
        print(f"fleet: {error} The demo runs without a model.", file=sys.stderr)
        return None
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fleet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenarios", default="", help=f"comma-separated, of {','.join(SCENARIOS)}; default: all")
    parser.add_argument("--logs", type=Path, help="folder that receives the services' logs")
    arguments = parser.parse_args()
    if unknown := set(filter(None, arguments.scenarios.split(","))) - set(SCENARIOS):
        parser.error(f"unknown scenario: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
