"""The weights in the model cache. Fetching is tested with the models."""

from pathlib import Path

import pytest

from processor_service.diarization.nets import load_nets
from processor_service.diarization.weights import EMBEDDING, SEGMENTATION, find_weights
from processor_service.models.cache import ModelCache, ModelError


def _store(folder: Path, name: str) -> None:
    complete = folder / "complete"
    complete.write_bytes(b"no weights")
    ModelCache(folder).store(name, complete, source="a test")


def test_both_nets_are_required(tmp_path: Path) -> None:
    assert find_weights(tmp_path) is None
    _store(tmp_path, SEGMENTATION.name)
    assert find_weights(tmp_path) is None
    _store(tmp_path, EMBEDDING.name)
    assert find_weights(tmp_path) is not None


def test_weights_with_another_digest_are_not_loaded(tmp_path: Path) -> None:
    for net in (SEGMENTATION, EMBEDDING):
        _store(tmp_path, net.name)
    weights = find_weights(tmp_path)
    assert weights is not None

    with pytest.raises(ModelError, match="damaged"):
        load_nets(weights)
