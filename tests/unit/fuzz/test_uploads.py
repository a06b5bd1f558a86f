"""The result of an upload does not depend on cuts or on a declared length."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.uploads.receive import FORM_TYPE, Upload, UploadHead, UploadReceiver
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from tests.support.ingest.sounds import wav
from tests.tools.fuzz.forms import AUDIO, CUTS, DISPOSITION, cut, form

MAX_BYTES = len(wav()) + 8
LANGUAGE, WRONG = DISPOSITION % b"language" + b"en", DISPOSITION % b"language" + b"\xff"
SOUND = AUDIO % b"a.wav" + wav()
# Valid and invalid parts and combinations.
PARTS = st.sampled_from([
    SOUND, SOUND + b"\r\n", SOUND + b"-" * 9, AUDIO % b"", AUDIO % b"" + b"no sound" * 9, AUDIO % b"" + b"?",
    AUDIO % b"" + b"?" * (MAX_BYTES + 1), LANGUAGE, WRONG, DISPOSITION % b"unheard-of",
    DISPOSITION % b"task" + b"translate", b"Content-Disposition: form-data\n" + SOUND,
])  # fmt: skip
FORMS = st.builds(
    lambda parts, end: form(*parts)[: len(form(*parts)) + end], st.lists(PARTS, max_size=4), st.integers(-12, 0)
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> BlobStore:
    return BlobStore(Path(tmp_path_factory.mktemp("blobs")).as_uri())


@given(FORMS, CUTS)
@example(form(WRONG, SOUND)[:-4], [1])
@example(form(AUDIO % b"" + b"no sound" * 9)[:-4], [1])
@example(form(AUDIO % b"" + b"?" * (MAX_BYTES + 1)), [1])
@example(form(SOUND, SOUND)[:-4], [1])
def test_the_answer_does_not_depend_on_how_a_form_is_cut(
    runner: asyncio.Runner, blobs: BlobStore, body: bytes, places: Iterable[int]
) -> None:
    ways = [([body], None), ([body], len(body)), (list(cut(body, places)), None), (list(cut(body, places)), len(body))]
    assert len({runner.run(answer(blobs, *way, FORM_TYPE)) for way in ways}) == 1


@given(st.sampled_from([b"", b"?", b"no sound" * 9, wav(), wav() + bytes(8), wav() + bytes(9), b"?" * 9000]), CUTS)
def test_the_answer_does_not_depend_on_how_a_raw_body_is_cut(
    runner: asyncio.Runner, blobs: BlobStore, body: bytes, places: Iterable[int]
) -> None:
    ways: list[tuple[list[bytes], int | None]] = [([body], None), (list(cut(body, places)), None)]
    if len(body) <= MAX_BYTES:  # a larger declared length is refused before the body
        ways += [([body], len(body)), (list(cut(body, places)), len(body))]
    assert len({runner.run(answer(blobs, *way, "audio/wav")) for way in ways}) == 1


async def answer(blobs: BlobStore, pieces: list[bytes], length: int | None, kind: str) -> tuple[Any, ...]:
    messages: Iterator[Any] = iter([{"type": "http.request", "body": piece, "more_body": True} for piece in pieces])

    async def receive() -> Any:
        return next(messages, {"type": "http.request"})

    receiver = UploadReceiver(blobs, new_id(), MAX_BYTES)
    head = UploadHead(content_type=kind, boundary="x" if kind == FORM_TYPE else None, content_length=length, query="")
    try:
        upload: Upload = await receiver.receive(head, receive)
    except RefusedError as error:
        return error.code, error.detail
    finally:
        await receiver.discard()
    return upload.audio, upload.filename, upload.options.language
