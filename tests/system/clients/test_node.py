"""OpenAI's own library for Node.js."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.clients.environments import FILES, ready_environment
from tests.support.clients.programs import answer_of, cut_before_first_answer, job_ids
from tests.support.clients.spoken import says_the_clip
from tests.support.stack.launched import Launched
from tests.system.clients.conftest import NewClip

pytestmark = [pytest.mark.process, pytest.mark.slow]


async def call(
    url: str, file: Path | None, name: str = "transcriptions", *, as_blob: bool = False, **parameters: Any
) -> dict[str, Any]:
    environment = ready_environment("node")
    order = {"url": url, "file": file and str(file), "asBlob": as_blob, "call": name, "parameters": parameters}
    command = [environment.node, FILES / "node" / "client.mjs"]
    return await answer_of(command, order, MODULES=str(environment.folder / "package.json"))


async def test_a_file_is_transcribed(stack: Launched, new_clip: NewClip, http: aiohttp.ClientSession) -> None:
    found = await call(stack.url, new_clip())
    assert says_the_clip(found["answer"]["text"])
    assert found["job"] in await job_ids(http)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("text", "text/plain"), ("srt", "text/plain"), ("vtt", "text/vtt"), ("verbose_json", "application/json")],
)
async def test_each_format_is_what_the_library_expects(
    stack: Launched, new_clip: NewClip, name: str, media_type: str
) -> None:
    found = await call(stack.url, new_clip(), response_format=name)
    assert found["type"].partition(";")[0] == media_type
    assert isinstance(found["answer"], str) == (name != "verbose_json")
    text = found["answer"]["text"] if name == "verbose_json" else found["answer"]
    assert says_the_clip(text) or name in {"srt", "vtt"}


async def test_words_have_times(stack: Launched, new_clip: NewClip) -> None:
    found = await call(
        stack.url, new_clip(), response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    words = found["answer"]["words"]
    assert says_the_clip(" ".join(word["word"] for word in words))
    assert [word["start"] for word in words] == sorted(word["start"] for word in words)
    assert says_the_clip(" ".join(segment["text"] for segment in found["answer"]["segments"]))


async def test_speakers(stack: Launched, new_clip: NewClip) -> None:
    found = await call(
        stack.url,
        new_clip(),
        model="gpt-4o-transcribe-diarize",
        response_format="diarized_json",
        chunking_strategy="auto",
    )
    assert {segment["speaker"] for segment in found["answer"]["segments"]} == {"A"}


async def test_a_translation(stack: Launched, new_clip: NewClip) -> None:
    assert says_the_clip((await call(stack.url, new_clip(), "translations"))["answer"]["text"])


async def test_a_stream(stack: Launched, new_clip: NewClip) -> None:
    *deltas, done = (await call(stack.url, new_clip(), model="gpt-4o-transcribe", stream=True))["events"]
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert says_the_clip("".join(event["delta"] for event in deltas))
    assert says_the_clip(done["text"])


async def test_a_retry_after_a_cut_attaches(stack: Launched, new_clip: NewClip, http: aiohttp.ClientSession) -> None:
    before = await job_ids(http)
    async with cut_before_first_answer(stack.url) as url:
        found = await call(url, new_clip(), as_blob=True)
    assert says_the_clip(found["answer"]["text"])
    assert await job_ids(http) - before == {found["job"]}


async def test_the_library_does_not_retry_a_stream_but_its_program_may(
    stack: Launched, new_clip: NewClip, http: aiohttp.ClientSession
) -> None:
    """A file by `fs.createReadStream` can be read once."""
    clip, before = new_clip(), await job_ids(http)
    async with cut_before_first_answer(stack.url) as url:
        assert (await call(url, clip))["error"]["name"] == "APIConnectionError"
        found = await call(url, clip)
    assert says_the_clip(found["answer"]["text"])
    assert await job_ids(http) - before == {found["job"]}


async def test_errors_have_the_classes_of_the_library(stack: Launched, new_clip: NewClip, tmp_path: Path) -> None:
    empty, page = tmp_path / "empty.wav", tmp_path / "page.mp3"
    empty.write_bytes(b"")
    page.write_text("<html>" * 2000)
    wrong = (await call(stack.url, new_clip(), response_format="docx"))["error"]
    assert (wrong["name"], wrong["param"]) == ("BadRequestError", "response_format")
    assert (await call(stack.url, empty))["error"]["code"] == "empty_upload"
    assert (await call(stack.url, page))["error"]["code"] == "unsupported_media"


async def test_the_models_are_listed(stack: Launched) -> None:
    assert "whisper-1" in (await call(stack.url, None, "models"))["answer"]
