"""The formats beyond subtitles, and the search, over HTTP: short transcripts inline, long ones in processes."""

import io
import zipfile
from collections.abc import Mapping
from uuid import UUID

import msgspec
import pytest
from aiohttp import FormData

from ingest_service.formats.search import Search, SearchHit, SearchResults, find_phrase
from ingest_service.jobs.renders import INLINE_BYTES
from shared.blobs import blob_keys
from shared.formats.paragraphs import Transcript as Answered
from shared.formats.paragraphs import with_paragraphs
from shared.schemas.transcript import Transcript
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.ingest.spoken import one_after_another, transcript

pytestmark = pytest.mark.process

SHORT, LONG = 5, 400  # sentences


def spoken(sentences: int) -> Transcript:
    texts = [f"This is the sentence {number} of twenty-five." for number in range(sentences)]
    segments = one_after_another(texts, pause_s=0.2, speakers=[None] * sentences)
    numbered = (msgspec.structs.replace(one, id=number) for number, one in enumerate(segments))
    return transcript(*numbered, duration_s=2.5 * sentences)


async def completed(ingest: Ingest, content: Transcript) -> str:
    form = FormData()
    form.add_field("audio_file", io.BytesIO(wav()), filename="talk.mp3")
    status, body = await ingest.post(form)
    assert status == 202, body
    await records.complete(ingest, body["job_id"])
    await ingest.blobs.put(blob_keys.transcript(UUID(body["job_id"]), 1), msgspec.json.encode(content))
    return str(body["job_id"])


async def fetched(ingest: Ingest, path: str) -> tuple[Mapping[str, str], bytes]:
    async with ingest.client.get(ingest.url + path) as answer:
        assert answer.status == 200, await answer.text()
        return answer.headers, await answer.read()


@pytest.mark.parametrize("sentences", [SHORT, LONG])
async def test_documents_are_downloads_with_the_name_of_the_recording(ingest: Ingest, sentences: int) -> None:
    content = spoken(sentences)
    assert (len(msgspec.json.encode(content)) > INLINE_BYTES) is (sentences == LONG)
    path = f"/v1/jobs/{await completed(ingest, content)}/transcript"
    headers, page = await fetched(ingest, f"{path}?format=html")
    assert headers["Content-Disposition"] == 'attachment; filename="talk.html"'
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'<source src="./talk.mp3"><source src="{ingest.url}'.encode() in page
    assert page.count(b"<span data-s=") == sum(len(one.words) for one in content.segments)
    headers, document = await fetched(ingest, f"{path}?format=docx")
    assert headers["Content-Disposition"] == 'inline; filename="talk.docx"'
    assert "wordprocessingml" in headers["Content-Type"]
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        assert b"This is the sentence 4 of" in archive.read("word/document.xml")
    headers, grid = await fetched(ingest, f"{path}/text?format=textgrid")
    assert headers["Content-Disposition"] == 'inline; filename="talk.TextGrid"'
    assert grid.startswith(b'File type = "ooTextFile"')


@pytest.mark.parametrize("sentences", [SHORT, LONG])
async def test_json_with_paragraphs_and_digits(ingest: Ingest, sentences: int) -> None:
    content = spoken(sentences)
    path = f"/v1/jobs/{await completed(ingest, content)}/transcript"
    _, body = await fetched(ingest, f"{path}?paragraphs=true")
    assert msgspec.json.decode(body, type=Answered) == with_paragraphs(content)
    _, body = await fetched(ingest, f"{path}?normalize=true")
    found = msgspec.json.decode(body, type=Transcript)
    assert found.segments[3].text == "This is the sentence 3 of 25."
    assert b'"paragraphs"' not in body
    _, body = await fetched(ingest, path)
    assert body == msgspec.json.encode(content)


@pytest.mark.parametrize("sentences", [SHORT, LONG])
async def test_a_phrase_is_found_by_pages(ingest: Ingest, sentences: int) -> None:
    content = spoken(sentences)
    path = f"/v1/jobs/{await completed(ingest, content)}/transcript/search"
    query: str | None = "?q=The%20SENTENCE&limit=150"
    found: list[SearchHit] = []
    while query is not None:
        _, body = await fetched(ingest, path + query)
        page = msgspec.json.decode(body, type=SearchResults)
        assert page.count == sentences
        assert len(page.hits) <= 150
        found += page.hits
        query = page.next_cursor and f"?q=The%20SENTENCE&limit=150&cursor={page.next_cursor}"
    assert tuple(found) == find_phrase(content, Search(q="the sentence", limit=1000)).hits


async def test_the_search_has_corrections_and_an_etag(ingest: Ingest) -> None:
    job_id = await completed(ingest, spoken(SHORT))
    edits = {"base_version": 0, "words": [{"segment": 2, "word": 3, "text": "Łódź"}]}
    async with ingest.client.put(f"{ingest.url}/v1/jobs/{job_id}/transcript/edits", json=edits) as answer:
        assert answer.status == 200, await answer.text()
    path = f"/v1/jobs/{job_id}/transcript/search?q=lodz"
    assert (await ingest.get(path))[1]["count"] == 0
    headers, body = await fetched(ingest, f"{path}&edits=latest")
    (hit,) = msgspec.json.decode(body, type=SearchResults).hits
    assert (hit.segment, hit.words, hit.text) == (2, (3, 3), "Łódź")
    known = {"If-None-Match": headers["ETag"]}
    async with ingest.client.get(f"{ingest.url}{path}&edits=latest", headers=known) as answer:
        assert answer.status == 304


async def test_a_job_without_a_transcript_has_no_search(ingest: Ingest) -> None:
    status, problem = await ingest.get(f"/v1/jobs/{await ingest.submit(wav())}/transcript/search?q=hello")
    assert (status, problem["code"]) == (409, "not_ready")
