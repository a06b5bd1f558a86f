"""Transcribers: one Protocol, one file an engine. Engines are imported when they are asked for."""

from importlib.util import find_spec
from pathlib import Path

from processor_service.transcribers.transcriber import NO_ENGINE, NoEngine, Transcriber

ENGINES = ("openai-whisper", "faster-whisper", NO_ENGINE, "scripted")
EXTRAS = {"faster-whisper": "ctranslate2"}  # engines of an extra of the same name, and what only that installs


def why_unavailable(engine: str) -> str | None:
    """Why an engine cannot work here, in a sentence that says what to do; None when it can."""
    if engine not in ENGINES:
        return f"HEADRACE_TRANSCRIBER is {engine!r}; there are {', '.join(ENGINES)}."
    if engine in EXTRAS and find_spec(EXTRAS[engine]) is None:
        return f"The engine {engine} is not installed: pip install --no-deps -r deploy/requirements-{engine}.txt"
    return None


def load_transcriber(engine: str, model_path: Path, device: str = "auto") -> Transcriber:
    """The transcriber of an engine with a model; raises ValueError for one that cannot work here."""
    match engine:
        case "openai-whisper":
            from processor_service.transcribers.openai_whisper import OpenAIWhisper

            return OpenAIWhisper(model_path, device)
        case "faster-whisper" if why_unavailable(engine) is None:
            from processor_service.transcribers.faster_whisper import FasterWhisper

            return FasterWhisper(model_path, device)
        case "none":
            return NoEngine()
        case "scripted":
            from processor_service.transcribers.scripted import Scripted

            return Scripted(model_path)
    raise ValueError(why_unavailable(engine))


def scripted_model(name: str) -> str:
    """The path of a scripted transcriber's model: the folder that HEADRACE_MODEL names, empty when it names none."""
    return name if "/" in name else ""


__all__ = ["ENGINES", "Transcriber", "load_transcriber", "scripted_model", "why_unavailable"]
