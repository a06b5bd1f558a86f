"""`/v1/jobs/{job_id}/transcript/edits`: versions of corrections, and transcripts with them."""

import asyncio
import io
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ingest_service.jobs import transcript_edits
from ingest_service.jobs.renders import INLINE_BYTES
from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.schemas.transcript import Segment, Transcript, Turn, Word
from shared.schemas.transcript_edits import MAX_CHANGES, MAX_NAME_CHARS, MAX_WORD_CHARS
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

LABEL = "SPEAKER_00"
ANN = {"base_version": 0, "speakers": {LABEL: "Ann"}, "words": [{"segment": 0, "word": 1, "text": "the world."}]}


def spoken(number: int, words: tuple[str, ...], speaker: str = LABEL) -> Segment:
    said = tuple(
        Word(word=word, start=number * 2.0 + at / 2, end=number * 2.0 + at / 2 + 0.5, confidence=0.5, speaker=speaker)
        for at, word in enumerate(words)
    )
    return Segment(
        id=number,
        start=said[0].start,
        end=said[-1].end,
        text=" ".join(words),
        speaker=speaker,
        confidence=0.5,
        no_speech_prob=0.0,
        words=said,
    )


def content(segments: int = 2) -> Transcript:
    said = tuple(spoken(number, ("Hello", "wurld.")) for number in range(segments))
    turns = tuple(Turn(speaker=LABEL, start=one.start, end=one.end) for one in said)
    text = " ".join(one.text for one in said)
    return Transcript(text=text, language="en", duration=segments * 2.0, segments=said, speakers=(LABEL,), turns=turns)


async def completed(ingest: Ingest, transcript: Transcript | None = None, generation: int = 1) -> str:
    job_id = await ingest.submit(wav())
    await records.complete(ingest, job_id)
    await store(ingest, job_id, transcript or content(), generation)
    return job_id


async def store(ingest: Ingest, job_id: str, transcript: Transcript, generation: int) -> None:
    await ingest.blobs.put(blob_keys.transcript(UUID(job_id), generation), msgspec.json.encode(transcript))


async def save(ingest: Ingest, job_id: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    path = f"{ingest.url}/v1/jobs/{job_id}/transcript/edits"
    data = io.BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
    async with ingest.client.put(path, data=data, headers={"Content-Type": "application/json", **headers}) as answer:
        return answer.status, await answer.json(content_type=None)


async def text(
    ingest: Ingest, job_id: str, query: str, path: str = "transcript", **headers: str
) -> tuple[int, str, str]:
    url = f"{ingest.url}/v1/jobs/{job_id}/{path}?{query}"
    async with ingest.client.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers.get("ETag", "")


async def versions(ingest: Ingest, job_id: str) -> dict[str, Any]:
    status, found = await ingest.get(f"/v1/jobs/{job_id}/transcript/edits")
    assert status == 200
    return found


FORMATS = {
    "txt": ("Hello wurld.\nHello wurld.\n", "Hello the world.\nHello wurld.\n"),
    "vtt": ("<v SPEAKER_00>Hello wurld.", "<v Ann>Hello the world."),
    "srt": ("Hello wurld.", "Hello the world."),
    "tsv": ("0\t1000\tHello wurld.", "0\t1000\tHello the world."),
    "rttm": ("<NA> <NA> SPEAKER_00 <NA>", "<NA> <NA> Ann <NA>"),
}


@pytest.mark.parametrize("path", ["transcript", "transcript/text"])
@pytest.mark.parametrize("form", FORMATS)
async def test_each_format_has_the_engines_text_unless_asked(ingest: Ingest, form: str, path: str) -> None:
    job_id = await completed(ingest)
    engine, edited = FORMATS[form]
    before = await text(ingest, job_id, f"format={form}&edits=latest", path)
    assert engine in before[1]  # there are no edits yet
    assert (await save(ingest, job_id, ANN))[0] == 200
    assert await text(ingest, job_id, f"format={form}", path) == before
    assert await text(ingest, job_id, f"format={form}&edits=none", path) == before
    after = await text(ingest, job_id, f"format={form}&edits=latest", path)
    assert after[0] == 200
    assert edited in after[1]
    assert after[2] != before[2]
    assert await text(ingest, job_id, f"format={form}&edits=1", path) == after
    assert (await text(ingest, job_id, f"format={form}&edits=1", path, **{"If-None-Match": after[2]}))[0] == 304
    assert (await text(ingest, job_id, f"format={form}&edits=1", path, **{"If-None-Match": before[2]}))[0] == 200


@pytest.mark.process
@pytest.mark.parametrize("segments", [2, 200])
async def test_json_with_and_without_edits(ingest: Ingest, segments: int) -> None:
    stored = content(segments)
    assert (len(msgspec.json.encode(stored)) > INLINE_BYTES) is (segments == 200)
    job_id = await completed(ingest, stored)
    _, plain, tag = await text(ingest, job_id, "")
    assert (await save(ingest, job_id, ANN))[0] == 200
    assert await text(ingest, job_id, "") == (200, plain, tag)
    _, edited, edited_tag = await text(ingest, job_id, "edits=latest")
    after = msgspec.json.decode(edited, type=Transcript)
    assert edited_tag != tag
    assert after.segments[1:] == tuple(
        msgspec.structs.replace(
            one, speaker="Ann", words=tuple(msgspec.structs.replace(word, speaker="Ann") for word in one.words)
        )
        for one in stored.segments[1:]
    )
    assert [(word.word, word.start, word.end) for word in after.segments[0].words] == [
        ("Hello", 0.0, 0.5),
        ("the", 0.5, 0.667),
        ("world.", 0.667, 1.0),
    ]
    assert (after.speakers, {turn.speaker for turn in after.turns}) == (("Ann",), {"Ann"})


async def test_versions_are_listed_and_read(settings: IngestSettings) -> None:
    async with guarded(settings) as ingest:
        key = await new_key(settings, "acme")
        headers = bearer(key.key)
        job_id = (await ingest.post(wav(), headers={**headers, "Content-Type": "audio/wav"}))[1]["job_id"]
        await records.complete(ingest, job_id)
        await store(ingest, job_id, content(), 1)
        path = f"{ingest.url}/v1/jobs/{job_id}/transcript/edits"
        async with ingest.client.get(path, headers=headers) as answer:
            assert await answer.json() == {"latest": 0, "versions": []}
        assert (await save(ingest, job_id, ANN, **headers))[0] == 200
        assert (await save(ingest, job_id, {"base_version": 1}, **headers))[1]["changes"] == 0
        async with ingest.client.get(path, headers=headers) as answer:
            found = await answer.json()
        assert found["latest"] == 2
        assert [(one["version"], one["changes"], one["outdated"]) for one in found["versions"]] == [
            (2, 0, False),
            (1, 2, False),
        ]
        assert {one["author"] for one in found["versions"]} == {key.key_id}
        async with ingest.client.get(f"{path}/1", headers=headers) as answer:
            view = await answer.json()
        assert view["speakers"] == ANN["speakers"]
        assert view["words"] == [{"segment": 0, "word": 1, "text": "the world.", "was": "wurld.", "at": 1}]
        again = {"base_version": 2} | {name: view[name] for name in ("speakers", "words", "segments")}
        assert (await save(ingest, job_id, again, **headers))[1]["changes"] == 2  # what was read can be sent


async def test_a_version_between_is_a_conflict_and_a_repeat_is_none(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    _, first = await save(ingest, job_id, ANN)
    assert await save(ingest, job_id, ANN) == (200, first)  # the answer was lost
    status, problem = await save(ingest, job_id, {"base_version": 0, "speakers": {LABEL: "Bob"}})
    assert (status, problem["code"]) == (409, "edit_conflict")
    assert "version is 1" in problem["detail"]
    assert (await save(ingest, job_id, {"base_version": 9}))[1]["code"] == "edit_conflict"
    answers = await asyncio.gather(
        *(save(ingest, job_id, {"base_version": 1, "speakers": {LABEL: f"Name {number}"}}) for number in range(5))
    )
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409]
    assert (await versions(ingest, job_id))["latest"] == 2


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({}, "invalid_parameter", "base_version"),
        ({"base_version": -1}, "invalid_parameter", "base_version"),
        ({"base_version": 0, "word": []}, "invalid_parameter", "word"),
        ({"base_version": 0, "words": [{"segment": 0, "word": 0}]}, "invalid_parameter", "text"),
        ({"base_version": 0, "words": [{"segment": 0, "word": 0, "text": "a\u0000b"}]}, "invalid_parameter", "control"),
        ({"base_version": 0, "words": [{"segment": 0, "word": 0, "text": "a\u2028b"}]}, "invalid_parameter", "control"),
        ({"base_version": 0, "words": [{"segment": 0, "word": 0, "text": "a" * (MAX_WORD_CHARS + 1)}]},
         "invalid_parameter", "text"),
        ({"base_version": 0, "words": [{"segment": 0, "word": 0, "text": "a"}] * 2}, "invalid_parameter", "twice"),
        ({"base_version": 0, "speakers": {LABEL: ""}}, "invalid_parameter", "speakers"),
        ({"base_version": 0, "speakers": {LABEL: "  "}}, "invalid_parameter", "blank"),
        ({"base_version": 0, "speakers": {LABEL: " \u200b"}}, "invalid_parameter", "blank"),
        ({"base_version": 0, "segments": [{"segment": 0, "speaker": "\u2060"}]}, "invalid_parameter", "blank"),
        ({"base_version": 0, "speakers": {LABEL: "a\u202eb"}}, "invalid_parameter", "control"),
        ({"base_version": 0, "speakers": {LABEL: "a" * (MAX_NAME_CHARS + 1)}}, "invalid_parameter", "speakers"),
        ({"base_version": 0, "speakers": {str(number): "a" for number in range(257)}}, "invalid_parameter", "256"),
        ({"base_version": 0, "segments": [{"segment": 0}]}, "invalid_parameter", "speaker"),
        ({"base_version": 0, "speakers": {"SPEAKER_07": "a"}}, "invalid_edits", "label"),
        ({"base_version": 0, "words": [{"segment": 9, "word": 0, "text": "a"}]}, "invalid_edits", "segment 9"),
        ({"base_version": 0, "words": [{"segment": 0, "word": 2, "text": "a"}]}, "invalid_edits", "word 2"),
        ({"base_version": 0, "segments": [{"segment": 0, "text": "a"}]}, "invalid_edits", "words"),
        (b"{", "invalid_json", "JSON"),
        (b'{"base_version": 0, "words": [' + b"{}," * (MAX_CHANGES + 10) + b"{}]}", "invalid_json", "20008"),
    ],
    ids=range(22),
)  # fmt: skip
async def test_what_is_refused(ingest: Ingest, body: Any, code: str, named: str) -> None:
    job_id = await completed(ingest)
    status, problem = await save(ingest, job_id, body)
    assert (status, problem["code"]) == (400, code), problem
    assert named in problem["detail"]
    assert (await versions(ingest, job_id))["latest"] == 0


async def test_a_body_is_bounded(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    status, problem = await save(ingest, job_id, b" " * ((2 << 20) + 1))
    assert (status, problem["code"]) == (413, "too_large")


@pytest.mark.process
async def test_as_many_changes_as_are_allowed_are_saved(ingest: Ingest) -> None:
    job_id = await completed(ingest, content(MAX_CHANGES))
    words = [{"segment": number, "word": 1, "text": "world."} for number in range(MAX_CHANGES)]
    status, saved = await save(ingest, job_id, {"base_version": 0, "words": words})
    assert (status, saved["changes"]) == (200, MAX_CHANGES)
    assert (await text(ingest, job_id, "format=txt&edits=latest"))[1] == "Hello world.\n" * MAX_CHANGES


async def test_the_oldest_versions_are_dropped(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript_edits, "MAX_VERSIONS", 3)
    job_id = await completed(ingest)
    for number in range(5):
        assert (await save(ingest, job_id, {"base_version": number, "speakers": {LABEL: f"N{number}"}}))[0] == 200
    assert [one["version"] for one in (await versions(ingest, job_id))["versions"]] == [5, 4, 3]
    monkeypatch.setattr(transcript_edits, "MAX_BYTES", 1)
    assert (await save(ingest, job_id, {"base_version": 5, "speakers": {LABEL: "Z"}}))[1]["version"] == 6
    assert [one["version"] for one in (await versions(ingest, job_id))["versions"]] == [6]  # the newest stays
    assert (await text(ingest, job_id, "edits=5"))[0] == 404


@pytest.mark.parametrize(("query", "status", "code"), [
    ("edits=2", 404, "edits_not_found"), ("edits=x", 400, "invalid_parameter"), ("edits=", 400, "invalid_parameter"),
    ("edits=-1", 400, "invalid_parameter"), ("edits=9999999999", 400, "invalid_parameter"),
])  # fmt: skip
async def test_versions_that_do_not_exist(ingest: Ingest, query: str, status: int, code: str) -> None:
    job_id = await completed(ingest)
    await save(ingest, job_id, ANN)
    for form in ("", "&format=srt"):
        found, body, _ = await text(ingest, job_id, query + form)
        assert (found, msgspec.json.decode(body)["code"]) == (status, code)
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/transcript/edits/2")
    assert (status, problem["code"]) == (404, "edits_not_found")


async def test_a_job_without_a_transcript_has_no_edits(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    assert (await save(ingest, job_id, ANN))[1]["code"] == "not_ready"
    assert await versions(ingest, job_id) == {"latest": 0, "versions": []}
    assert (await text(ingest, job_id, "edits=latest"))[0] == 409


async def test_erasing_a_job_erases_its_edits(ingest: Ingest) -> None:
    job_id, other = await completed(ingest), await completed(ingest)
    for each in (job_id, other):
        assert (await save(ingest, each, ANN))[0] == 200
    async with ingest.client.delete(f"{ingest.url}/v1/jobs/{job_id}") as answer:
        assert answer.status == 204
    assert [str(row["job_id"]) for row in await ingest.sql("SELECT job_id FROM transcript_edits")] == [other]
    assert (await save(ingest, job_id, ANN))[0] == 410
    assert (await ingest.get(f"/v1/jobs/{job_id}/transcript/edits"))[0] == 410


async def diarized_again(ingest: Ingest, job_id: str, again: Transcript) -> None:
    """Do what `diarize` and the processor do."""
    assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/diarize"))[0] == 202
    await records.complete(ingest, job_id)
    await store(ingest, job_id, again, 2)


async def test_diarize_again_keeps_words_and_the_names_of_labels_that_exist(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    edits = {
        "base_version": 0,
        "speakers": {LABEL: "Ann", "Bob": "Robert"},
        "words": [{"segment": 1, "word": 1, "text": "world."}],
        "segments": [{"segment": 0, "speaker": "Bob"}],
    }
    assert (await save(ingest, job_id, edits))[1]["changes"] == 4
    assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/diarize"))[0] == 202
    assert "<v Robert>" in (await text(ingest, job_id, "format=vtt&edits=latest"))[1]  # the former transcript is served
    words = ("Hello", "wurld.", "Hello", "wurld.")
    parts = tuple(spoken(number, (word,), f"SPEAKER_0{number // 3}") for number, word in enumerate(words))
    again = Transcript(
        text=" ".join(words), language="en", duration=8.0, segments=parts, speakers=(LABEL, "SPEAKER_01")
    )
    await records.complete(ingest, job_id)
    await store(ingest, job_id, again, 2)
    assert (await text(ingest, job_id, "format=txt&edits=latest"))[1] == "Hello\nwurld.\nHello\nworld.\n"
    after = msgspec.json.decode((await text(ingest, job_id, "edits=1"))[1], type=Transcript)
    assert after.speakers == ("Ann", "SPEAKER_01")
    _, view = await ingest.get(f"/v1/jobs/{job_id}/transcript/edits/1")
    assert (view["outdated"], view["speakers"], view["segments"]) == (False, {LABEL: "Ann"}, [])
    assert [(one["segment"], one["word"], one["text"]) for one in view["words"]] == [(3, 0, "world.")]
    more = {"base_version": 1, "speakers": {"SPEAKER_01": "Eve"}, "words": view["words"]}
    assert (await save(ingest, job_id, more))[1]["version"] == 2
    assert "<v Eve>world." in (await text(ingest, job_id, "format=vtt&edits=latest"))[1]


async def test_edits_of_another_transcription_are_outdated_and_not_applied(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    assert (await save(ingest, job_id, ANN))[0] == 200
    await ingest.sql("UPDATE jobs SET generation = 2 WHERE id = $1", job_id)  # as after a redrive
    await store(ingest, job_id, content(3), 2)
    (version,) = (await versions(ingest, job_id))["versions"]
    assert version["outdated"]
    assert "Hello wurld." in (await text(ingest, job_id, "format=txt&edits=latest"))[1]
    status, body, _ = await text(ingest, job_id, "format=txt&edits=1")
    assert (status, msgspec.json.decode(body)["code"]) == (409, "edits_outdated")
    _, view = await ingest.get(f"/v1/jobs/{job_id}/transcript/edits/1")
    assert (view["outdated"], view["words"][0]["text"]) == (True, "the world.")
    assert (await save(ingest, job_id, {"base_version": 1, "speakers": {LABEL: "Ann"}}))[1]["outdated"] is False
    assert "<v Ann>" in (await text(ingest, job_id, "format=vtt&edits=latest"))[1]
