"""The model that a client names is one of the cache, never a path."""

from pathlib import Path

import msgspec
import pytest

from processor_service.errors import PermanentError
from processor_service.models.cache import Form, ModelCache
from processor_service.stages.work import Work
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions


class Settings(msgspec.Struct):
    transcriber: str = "openai-whisper"
    model: str = "tiny"


class Task(msgspec.Struct):
    options: JobOptions


@pytest.mark.parametrize("name", ["evil.pt", "evil", "tiny.en.json"])
def test_a_name_that_is_a_path_for_the_operator_is_none_for_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(b"a pickle")
    work = Work(
        task=Task(JobOptions(model=name)),  # type: ignore[arg-type] # all that is read
        slot=None,  # type: ignore[arg-type] # not used
        blobs=None,  # type: ignore[arg-type] # not used
        models=ModelCache(tmp_path / "models", Form.CHECKPOINT),
        settings=Settings(),  # type: ignore[arg-type] # all that is read
        scratch=tmp_path,
        report_progress=lambda _: None,
    )
    with pytest.raises(PermanentError) as refused:
        work.model_path()
    assert refused.value.code == FailureCode.MODEL_UNAVAILABLE
