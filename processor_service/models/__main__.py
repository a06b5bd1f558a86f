"""`python -m processor_service.models NAME`: make sure that a model is in the cache, fetching it when it is not."""

import argparse
import os
import sys
from pathlib import Path

from processor_service.models.cache import ModelCache, ModelError, is_path, locate


def main() -> int:
    """Print progress to standard error; exit 0 when the model is there and whole."""
    default_dir = os.environ.get("HEADRACE_MODEL_DIR", "~/.cache/headrace/models")
    parser = argparse.ArgumentParser(prog="python -m processor_service.models", description=__doc__)
    parser.add_argument("name", help="a model name such as tiny.en or base, or a path")
    parser.add_argument("--dir", default=default_dir, help="the cache folder; default HEADRACE_MODEL_DIR")
    arguments = parser.parse_args()
    cache = ModelCache(Path(arguments.dir))
    try:
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

        fetch(name, cache, _say)
        _say("ready")


def _say(text: str) -> None:
    sys.stderr.write(f"model: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
