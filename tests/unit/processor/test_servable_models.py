"""Which models a processor announces: those of its cache in its engine's form, its default, and its providers'."""

from pathlib import Path
from typing import Any

import pytest

from processor_service.diarization.weights import NETS
from processor_service.models.cache import Form, ModelCache
from processor_service.models.servable import servable_models
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.settings import ProcessorSettings
from processor_service.transcribers.engines import open_cache
from shared.queue.announced_models import ANY_MODEL
from shared.secret import Secret

ACME = ProviderSettings(name="acme", url="https://acme.example/v1", model="whisper-9", key=Secret("k"))


def settings(**values: Any) -> ProcessorSettings:
    return ProcessorSettings(database_url=Secret(""), redis_url=Secret(""), storage_url="", **values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints, the nets for speakers, a converted model, and what an interrupted fetch leaves."""
    for name in ("base", "large-v3.1", *NETS):
        weights = tmp_path / f"new-{name}"
        weights.write_bytes(b"weights")
        ModelCache(tmp_path).store(name, weights, source="test")
    converted = tmp_path / "new"
    converted.mkdir()
    (converted / "model.bin").write_bytes(b"weights")
    ModelCache(tmp_path, Form.FOLDER).store("tiny", converted, source="test")
    (tmp_path / "small.pt").write_bytes(b"partial")
    (tmp_path / "medium.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"transcriber": "openai-whisper"}, ["base", "large-v3.1"]),
        ({"transcriber": "openai-whisper", "model": "medium.en"}, ["base", "large-v3.1", "medium.en"]),
        ({"transcriber": "openai-whisper", "model": "/models/own.pt"}, ["base", "large-v3.1"]),
        ({"transcriber": "openai-whisper", "providers": (ACME,)}, ["base", "large-v3.1", "whisper-9"]),
        ({"transcriber": "none", "providers": (ACME,)}, ["whisper-9"]),
        ({"transcriber": "scripted", "providers": (ACME,)}, [ANY_MODEL, "whisper-9"]),
    ],
)
def test_names(folder: Path, values: dict[str, Any], names: list[str]) -> None:
    chosen = settings(**values)
    assert servable_models(chosen, open_cache(chosen.transcriber, folder)) == names


def test_a_converted_model_is_not_a_checkpoint(folder: Path) -> None:
    assert ModelCache(folder, Form.FOLDER).names() == ["tiny"]


def test_a_missing_folder_has_no_models(tmp_path: Path) -> None:
    assert ModelCache(tmp_path / "none").names() == []
