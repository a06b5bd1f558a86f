"""The registry of ASR engines: each engine is one file and one line here. All other code asks this table.

To add an engine:
1. Write `processor_service/transcribers/<file>.py` with a class that implements `Transcriber` (`transcriber.py`). Its
   constructor takes the path of the model and the device (`auto`, `cpu` or `cuda`).
2. Add its line to `ENGINES`: the name that `HEADRACE_TRANSCRIBER` takes, the class, and the form of its weights. If the
   engine needs a package that the extra `processor` does not install, add an extra of the engine's name to
   `pyproject.toml` and name a module of that package in the line.
3. Run `pytest tests/system/transcribers/test_conformance.py`, which tests every engine of this table, and describe the
   engine in `deploy/example.env` and docs/transcripts.md.

This module imports no engine and no numerical library: the local stack and the settings read it, too.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from processor_service.models.cache import Form, ModelCache, is_path, locate

if TYPE_CHECKING:  # it imports numpy
    from processor_service.transcribers.transcriber import Transcriber


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An engine: its class and what it needs."""

    loader: str  # `module:class` in this package, imported when the engine is loaded
    form: Form | None = None  # how its weights are stored; None: it needs no weights
    extra_module: str = ""  # a module that only the extra of the engine's name installs
    writes_beside_model: bool = False  # no real engine does


NO_ENGINE = "none"  # remote engines do all the work
DEFAULT_ENGINE = "openai-whisper"
ENGINES = {
    DEFAULT_ENGINE: EngineSpec(loader="openai_whisper:OpenAIWhisper", form=Form.CHECKPOINT),
    "faster-whisper": EngineSpec(loader="faster_whisper:FasterWhisper", form=Form.FOLDER, extra_module="ctranslate2"),
    NO_ENGINE: EngineSpec(loader="no_engine:NoEngine"),
    "scripted": EngineSpec(loader="scripted:Scripted", writes_beside_model=True),  # for tests
}


def why_unavailable(engine: str) -> str | None:
    """Why an engine cannot run here, and what to do; None when it can."""
    if engine not in ENGINES:
        return f"There is no engine {engine!r}. Choose one of {', '.join(ENGINES)}."
    module = ENGINES[engine].extra_module
    if module and find_spec(module) is None:
        return f"The engine {engine} is not installed: pip install --no-deps -r deploy/requirements-{engine}.txt"
    return None


def load_transcriber(engine: str, model_path: Path, device: str = "auto") -> "Transcriber":
    """Load an engine with a model. Raise ValueError when it cannot run here."""
    if problem := why_unavailable(engine):
        raise ValueError(problem)
    module, _, name = ENGINES[engine].loader.partition(":")
    transcriber: Transcriber = getattr(import_module(f"{__package__}.{module}"), name)(model_path, device)
    return transcriber


def needs_weights(engine: str) -> bool:
    """Whether an engine loads a model of the cache; False for an unknown engine."""
    return engine in ENGINES and ENGINES[engine].form is not None


def open_cache(engine: str, folder: Path) -> ModelCache:
    """The models in a folder, in the form that an engine takes; any form for one that needs no weights."""
    return ModelCache(folder, ENGINES[engine].form or Form.CHECKPOINT)


def find_model(engine: str, model: str, cache: ModelCache) -> Path:
    """Return the path of an engine's model, verified. Raise ModelError.

    An engine that needs no weights gets `model` if that is a path (the scripted engine's folder), else an empty path.
    """
    if needs_weights(engine):
        return locate(model, cache)
    return Path(model) if is_path(model) else Path()
