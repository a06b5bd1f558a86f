"""Transcribers: one Protocol, one file an engine. Engines are imported when they are asked for."""

from pathlib import Path

from processor_service.transcribers.protocol import Transcriber

ENGINES = ("openai-whisper", "scripted")


def load_transcriber(engine: str, model_path: Path) -> Transcriber:
    """The transcriber of an engine with a model; raises ValueError for an unknown engine."""
    match engine:
        case "openai-whisper":
            from processor_service.transcribers.openai_whisper import OpenAIWhisper

            return OpenAIWhisper(model_path)
        case "scripted":
            from processor_service.transcribers.scripted import Scripted

            return Scripted(model_path)
    raise ValueError(f"unknown transcriber {engine!r}; there are {', '.join(ENGINES)}")


def scripted_model(name: str) -> str:
    """The path of a scripted transcriber's model: the folder that HEADRACE_MODEL names, empty when it names none."""
    return name if "/" in name else ""


__all__ = ["ENGINES", "Transcriber", "load_transcriber", "scripted_model"]
