"""Send recordings that stand for public bug reports through the stack. Their manifest says what is right."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from jiwer import process_words

from tests.support.acceptance.client import Client, words_of
from tests.support.models import model_for

pytestmark = [pytest.mark.slow, pytest.mark.corpus]
CLOCK_TOLERANCE_S = 0.7
DURATION_TOLERANCE_S = 0.3


async def test_every_report_is_right_or_has_its_warning(client: Client, corpus: Path) -> None:
    folder = corpus / "reports"
    cases = json.loads((folder / "manifest.json").read_text())
    for model in {case["model"] for case in cases}:
        await asyncio.to_thread(model_for, "openai-whisper", model)
    jobs = [await client.submit(folder / case["file"], **_options(case)) for case in cases]

    wrong = {}
    for case, job_id in zip(cases, jobs, strict=True):
        job = await client.ended(job_id, within_s=1200)
        faults = _faults(case, job, await client.transcript(job_id)) if job["status"] == "COMPLETED" else [job["error"]]
        print(f"{case['file']}: {faults or 'right'}")
        if faults:
            wrong[case["file"]] = faults
    assert wrong == {}


def _options(case: dict[str, Any]) -> dict[str, str]:
    return {"model": case["model"], "denoise": "false", **case["options"]}


def _faults(case: dict[str, Any], job: dict[str, Any], transcript: dict[str, Any]) -> list[str]:
    """Return what the manifest contradicts. A coded warning with times excuses words where the manifest says so."""
    codes = {warning["code"] for warning in job["warnings"]}
    excused = "warning_instead" in case and bool(codes & {"speech_not_transcribed", "trailing_data"})
    faults = [] if excused else [*_wrong_words(case, transcript), *_wrong_count(case, transcript)]
    faults += [*_wrong_time(case, transcript), *_wrong_duration(case, transcript)]
    if case.get("no_warning") in codes:
        faults.append(f"false warning {case['no_warning']}")
    return faults


def _wrong_words(case: dict[str, Any], transcript: dict[str, Any]) -> list[str]:
    if "text" not in case:
        return []
    found = process_words(" ".join(words_of(case["text"])), " ".join(words_of(transcript["text"])))
    words = len(words_of(case["text"]))
    missed, added = (found.deletions + found.substitutions) / words, found.insertions / words
    return [f"missed {missed:.2f}, added {added:.2f}"] if max(missed, added) > case["max_missed"] else []


def _wrong_count(case: dict[str, Any], transcript: dict[str, Any]) -> list[str]:
    if "count" not in case:
        return []
    word, wanted = case["count"]
    counted = words_of(transcript["text"]).count(word)
    return [] if counted == wanted else [f"{word!r} {counted} times"]


def _wrong_time(case: dict[str, Any], transcript: dict[str, Any]) -> list[str]:
    if "word_at" not in case:
        return []
    wanted, at_s = case["word_at"]
    starts = [
        word["start"]
        for segment in transcript["segments"]
        for word in segment["words"]
        if words_of(word["word"]) == [wanted]
    ]
    return [] if any(abs(start - at_s) <= CLOCK_TOLERANCE_S for start in starts) else [f"{wanted!r} at {starts} s"]


def _wrong_duration(case: dict[str, Any], transcript: dict[str, Any]) -> list[str]:
    if "duration_s" not in case or abs(transcript["duration"] - case["duration_s"]) <= DURATION_TOLERANCE_S:
        return []
    return [f"duration {transcript['duration']} s"]
