"""`python -m processor_service.models NAME`: make sure that a model is in the cache, fetching it when it is not.

In the form that the engine takes which HEADRACE_TRANSCRIBER names. `speakers` is what `diarize` needs, for any engine.
"""

import argparse
import os
import sys
from pathlib import Path

from processor_service.diarization.weights import SPEAKERS, fetch_weights
from processor_service.models.cache import ModelCache, ModelError, form_for, is_path, locate
from processor_service.transcribers import why_unavailable


def main() -> int:
    """Print progress to standard error; exit 0 when the model is there and whole."""
    default_dir = os.environ.get("HEADRACE_MODEL_DIR", "~/.cache/headrace/models")
    default_engine = os.environ.get("HEADRACE_TRANSCRIBER", "openai-whisper")
    parser = argparse.ArgumentParser(prog="python -m processor_service.models", description=__doc__)
    parser.add_argument("name", help="a model name such as tiny.en or base, or a path")
    parser.add_argument("--dir", default=default_dir, help="the cache folder; default HEADRACE_MODEL_DIR")
    parser.add_argument("--engine", default=default_engine, help="who will use it; default HEADRACE_TRANSCRIBER")
    arguments = parser.parse_args()
    if arguments.name != SPEAKERS and (reason := why_unavailable(arguments.engine)):
        _say(reason)
        return 1
    cache = ModelCache(Path(arguments.dir), form_for(arguments.engine))
    try:
        if arguments.name == SPEAKERS:
            fetch_weights(cache.folder, _say)
        else:
            _ensure(arguments.name, cache)
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
        from processor_service.models.fetch import fetch  # it imports torch: seconds that a cached model needs not

        _say(f"the model {name}, which turns speech into text, is fetched once into {cache.folder}")
        fetch(name, cache, _say)
        _say(f"{name} is there")


def _say(text: str) -> None:
    sys.stderr.write(f"model: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
