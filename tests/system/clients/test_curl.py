"""curl, as the documents show it."""

import shutil
from pathlib import Path

import aiohttp
import msgspec
import pytest
import soundfile

from tests.support.clients.programs import cut_before_first_answer, job_ids, output_of
from tests.support.clients.spoken import says_the_clip
from tests.support.stack.launched import Launched
from tests.system.clients.conftest import NewClip

pytestmark = pytest.mark.process


async def curl(*arguments: str | Path) -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    return (await output_of([program, "--silent", "--show-error", *arguments])).decode()


def file_of(clip: Path, name: str = "file") -> tuple[str, str]:
    return "--form", f"{name}=@{clip}"


async def transcribed(url: str, clip: Path, *arguments: str, task: str = "transcriptions") -> str:
    return await curl(f"{url}/v1/audio/{task}", *file_of(clip), "--form", "model=whisper-1", *arguments)


async def test_a_file_is_transcribed(stack: Launched, new_clip: NewClip) -> None:
    clip = new_clip()
    answer = msgspec.json.decode(await transcribed(stack.url, clip))
    assert says_the_clip(answer["text"])
    assert answer["usage"] == {"type": "duration", "seconds": pytest.approx(soundfile.info(clip).duration, abs=0.01)}


async def test_each_format(stack: Launched, new_clip: NewClip) -> None:
    clip = new_clip()
    found = {
        name: await transcribed(stack.url, clip, "--form", f"response_format={name}")
        for name in ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")
    }
    assert says_the_clip(found["text"])
    assert found["srt"].startswith("1\n00:00:0")
    assert found["vtt"].startswith("WEBVTT\n\n00:00:0")
    for name in ("json", "verbose_json", "diarized_json"):
        assert says_the_clip(msgspec.json.decode(found[name])["text"])
    assert msgspec.json.decode(found["diarized_json"])["segments"][0]["speaker"] == "A"


async def test_a_translation(stack: Launched, new_clip: NewClip) -> None:
    assert "text" in msgspec.json.decode(await transcribed(stack.url, new_clip(), task="translations"))


async def test_a_stream(stack: Launched, new_clip: NewClip) -> None:
    lines = (await transcribed(stack.url, new_clip(), "--form", "stream=true", "--no-buffer")).splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    done = msgspec.json.decode(events[-2])
    deltas = [msgspec.json.decode(event) for event in events[:-2]]
    assert done["type"] == "transcript.text.done"
    assert says_the_clip(done["text"])
    assert says_the_clip("".join(delta["delta"] for delta in deltas))


async def test_an_error_is_that_of_openai(stack: Launched, new_clip: NewClip) -> None:
    answer = msgspec.json.decode(await transcribed(stack.url, new_clip(), "--form", "response_format=docx"))
    assert answer["error"]["param"] == "response_format"
    assert answer["error"]["type"] == "invalid_request_error"


async def test_a_retry_after_a_cut_attaches(stack: Launched, new_clip: NewClip, http: aiohttp.ClientSession) -> None:
    before = await job_ids(http)
    async with cut_before_first_answer(stack.url) as url:
        answer = await transcribed(url, new_clip(), "--retry", "2", "--retry-all-errors")
    assert says_the_clip(msgspec.json.decode(answer)["text"])
    assert len(await job_ids(http) - before) == 1


OUTPUTS = {"txt": "And so", "srt": "1\n00:00:0", "vtt": "WEBVTT\n", "tsv": "start\tend\ttext\n", "json": '{"text":'}


@pytest.mark.parametrize(("output", "start"), OUTPUTS.items())
async def test_each_output_of_asr(stack: Launched, output: str, start: str, new_clip: NewClip) -> None:
    answer = await curl(f"{stack.url}/asr?output={output}", *file_of(new_clip(), "audio_file"))
    assert answer.startswith(start)


async def test_the_language_is_detected(stack: Launched, new_clip: NewClip) -> None:
    answer = await curl(f"{stack.url}/detect-language", *file_of(new_clip(), "audio_file"))
    found = msgspec.json.decode(answer)
    assert (found["detected_language"], found["language_code"]) == ("english", "en")
