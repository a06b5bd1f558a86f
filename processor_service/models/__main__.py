"""Fetch a model into the cache unless it is there, in the form that the engine takes.

The name `speakers` fetches the weights for the option `diarize`, which all engines share.
"""

import argparse
import sys
from pathlib import Path

from processor_service.diarization.weights import SPEAKERS, fetch_weights
from processor_service.models.cache import ModelCache, ModelError, is_path, locate
from processor_service.transcribers.engines import DEFAULT_ENGINE, open_cache, why_unavailable
from shared.environment import take_environment


def main() -> int:
    """Print progress to standard error. Return 0 when the model is in the cache and intact, else 1."""
    environ = take_environment()
    default_dir = environ.get("HEADRACE_MODEL_DIR", "~/.cache/headrace/models")
    default_engine = environ.get("HEADRACE_TRANSCRIBER", DEFAULT_ENGINE)
    parser = argparse.ArgumentParser(prog="python -m processor_service.models", description=__doc__)
    parser.add_argument("name", help="a model such as tiny.en or base, a path, or speakers")
    parser.add_argument("--dir", default=default_dir, help="the cache folder; default: HEADRACE_MODEL_DIR")
    parser.add_argument(
        "--engine", default=default_engine, help="the engine that will load the model; default: HEADRACE_TRANSCRIBER"
    )
    arguments = parser.parse_args()
    folder = Path(arguments.dir).expanduser()
    try:
        if arguments.name == SPEAKERS:
            fetch_weights(folder, _say)
        elif problem := why_unavailable(arguments.engine):
            raise ModelError(problem)
        else:
            _ensure(arguments.name, open_cache(arguments.engine, folder))
    except (ModelError, OSError) as error:
        _say(str(error))
        return 1
    return 0


def _ensure(name: str, cache: ModelCache) -> None:
    try:
        locate(name, cache)
    except ModelError:
        if is_path(name):
            raise
        from processor_service.models.fetch import fetch  # imports torch, which takes seconds

        _say(f"fetching the speech recognition model {name} into {cache.folder}; this happens once")
        fetch(name, cache, _say)
        _say(f"{name} is ready")


def _say(text: str) -> None:
    sys.stderr.write(f"model: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
