"""Models for tests, downloaded once into the environment's folder, as the local stack does."""

import functools
import os
import subprocess
import sys
from pathlib import Path

from processor_service.diarization.weights import SpeakerWeights, find_weights
from processor_service.models.cache import locate
from processor_service.transcribers.engines import open_cache

MODEL = "tiny.en"


@functools.cache
def model_for(engine: str, model: str = MODEL) -> Path:
    """Return the path of a model in an engine's form; by default, the smallest."""
    folder = os.environ.get("HEADRACE_MODEL_DIR") or str(Path(sys.prefix) / "models")
    prepare = [sys.executable, "-m", "processor_service.models", model, "--engine", engine, "--dir", folder]
    subprocess.run(prepare, check=True)
    return locate(model, open_cache(engine, Path(folder)))


@functools.cache
def speaker_weights() -> SpeakerWeights | None:
    """Return the diarization weights, or None if their package is not available."""
    folder = os.environ.get("HEADRACE_MODEL_DIR") or str(Path(sys.prefix) / "models")
    prepare = [sys.executable, "-m", "processor_service.models", "speakers", "--dir", folder]
    subprocess.run(prepare, check=False)
    return find_weights(Path(folder))
