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

            return Scripted()
    raise ValueError(f"unknown transcriber {engine!r}; there are {', '.join(ENGINES)}")


__all__ = ["ENGINES", "Transcriber", "load_transcriber"]
