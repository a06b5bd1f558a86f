"""The tus protocol, request by request."""

from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from ingest_service.problem_types import PROBLEM_TYPES
from ingest_service.settings import IngestSettings
from shared.queue.dispatch import COMPUTE_QUEUE
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Answer, Tus, assert_is_job, checksum, metadata, parts_left

SECRET = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0"


async def no_upload_is_left(ingest: Ingest) -> bool:
    return not parts_left(ingest) and not await ingest.sql("SELECT 1 FROM uploads WHERE ended_at IS NULL")


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/uploads/anything"])
async def test_options_returns_the_capabilities(ingest: Ingest, path: str) -> None:
    async with ingest.client.options(ingest.url + path) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
        headers = answer.headers
    assert (headers["Tus-Version"], headers["Tus-Resumable"]) == ("1.0.0", "1.0.0")
    assert set(headers["Tus-Extension"].split(",")) == {
        "creation", "creation-defer-length", "creation-with-upload", "expiration", "termination", "checksum",
    }  # fmt: skip
    assert headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert headers["Tus-Max-Size"] == str(ingest.settings.max_upload_bytes)


async def test_parts_become_a_job(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav(50_000)
    said = metadata(filename="../Vorträge\x00.wav", filetype="audio/wav", language="de", denoise="false")
    created = await tus.create(len(audio), Upload_Metadata=said + ",metadata eyJuIjoxfQ==")
    assert (created.status, created.offset) == (201, 0)
    path = created.headers["Location"]
    assert "GMT" in created.headers["Upload-Expires"]

    for start in range(0, len(audio), 20_000):
        answer = await tus.patch(path, start, audio[start : start + 20_000])
        assert (answer.status, answer.offset) == (204, min(start + 20_000, len(audio)))
        assert ("Upload-Expires" in answer.headers) is (answer.offset < len(audio))

    job = await assert_is_job(ingest, answer, audio)
    assert (job["filename"], job["container"], job["metadata"]) == ("../Vorträge.wav", "wav", '{"n":1}')
    assert msgspec.json.decode(job["options"]) == {"language": "de", "denoise": False}
    assert parts_left(ingest) == []


async def test_options_that_are_too_long_for_a_header_are_the_body_of_the_creation(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    terms = [f"{number} {'Kowalczyk ' * 9}".strip() for number in range(1000)]
    options = {"language": "de", "keyterms": terms, "webhook_url": "https://example.com/", "webhook_secret": SECRET}
    created = await create_with(tus, len(audio), msgspec.json.encode(options))
    assert (created.status, created.offset) == (201, 0)

    path = created.headers["Location"]
    assert (await tus.head(path)).headers["Upload-Metadata"] == metadata(filename="a.wav")
    job = await assert_is_job(ingest, await tus.patch(path, 0, audio), audio)
    assert job["filename"] == "a.wav"
    stored = msgspec.json.decode(job["options"])
    assert (stored["language"], stored["keyterms"]) == ("de", terms)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"[]", (400, "invalid_json")),
        (b"", (400, "invalid_json")),
        (b'{"language": "xx"}', (400, "invalid_option")),
        (b'{"filename": "a.wav"}', (400, "invalid_option")),
        (b'{"metadata": {"a": "' + b"x" * (128 << 10) + b'"}}', (413, "too_large")),
    ],
)
async def test_a_creation_with_other_options_in_its_body_is_refused(
    ingest: Ingest, body: bytes, refused: tuple[int, str]
) -> None:
    answer = await create_with(Tus.to(ingest), 1000, body)
    assert (answer.status, answer.code) == refused
    assert await no_upload_is_left(ingest)


async def test_an_option_is_either_in_the_head_or_in_the_body(ingest: Ingest) -> None:
    answer = await create_with(Tus.to(ingest), 1000, b'{"language": "de"}', language="de")
    assert (answer.status, answer.body["detail"]) == (400, "`language` is given twice.")


async def create_with(tus: Tus, length: int, options: bytes, **values: str) -> Answer:
    said = metadata(filename="a.wav", **values)
    return await tus.create(length, options, Content_Type="application/json", Upload_Metadata=said)


async def test_head_returns_the_offset(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio), Upload_Metadata="filename eC53YXY=,filetype")
    await tus.patch(path, 0, audio[:1000])
    answer = await tus.head(path)
    assert (answer.status, answer.offset) == (200, 1000)
    assert answer.headers["Upload-Length"] == str(len(audio))
    assert answer.headers["Upload-Metadata"] == "filename eC53YXY=,filetype"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Headrace-Job-Id" not in answer.headers


async def test_head_returns_the_job_after_a_lost_answer(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    await tus.patch(path, 0, audio)
    answer = await tus.head(path)
    assert answer.offset == len(audio)
    await assert_is_job(ingest, answer, audio)
    assert (await tus.patch(path, len(audio), b"")).headers["Headrace-Job-Id"] == answer.headers["Headrace-Job-Id"]


async def test_a_completed_upload_sends_a_dispatch(ingest: Ingest) -> None:
    audio = wav()
    assert (await Tus.to(ingest).create(len(audio), audio)).status == 201
    (task,) = await ingest.sql("SELECT id FROM tasks")
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:

        async def is_dispatched() -> bool:
            return await redis.zscore(COMPUTE_QUEUE, f"{task['id']}.1") is not None

        await until(is_dispatched)


async def test_a_creation_may_bring_the_first_bytes(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    created = await tus.create(len(audio), audio[:10_000])
    assert (created.status, created.offset) == (201, 10_000)
    answer = await tus.patch(created.headers["Location"], 10_000, audio[10_000:])
    await assert_is_job(ingest, answer, audio)


async def test_a_creation_may_bring_all_bytes(ingest: Ingest) -> None:
    audio = wav()
    answer = await Tus.to(ingest).create(len(audio), audio)
    assert answer.status == 201
    await assert_is_job(ingest, answer, audio)


async def test_the_length_may_be_deferred(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(None)
    await tus.patch(path, 0, audio[:10_000])
    answer = await tus.head(path)
    assert answer.headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in answer.headers
    assert (await tus.patch(path, 10_000, audio[10_000:], Upload_Length="9999")).code == "invalid_upload"
    answer = await tus.patch(path, 10_000, audio[10_000:], Upload_Length=str(len(audio)))
    await assert_is_job(ingest, answer, audio)


async def test_a_length_cannot_be_changed(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    assert (await tus.patch(path, 0, audio[:9], Upload_Length="9")).code == "invalid_upload"
    assert (await tus.patch(path, 0, audio[:9], Upload_Length=str(len(audio)))).status == 204


async def chunked(*pieces: bytes) -> Any:
    for piece in pieces:
        yield piece


async def test_a_chunked_body_is_accepted(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    answer = await tus.patch(path, 0, chunked(audio[:999], audio[999:]))
    await assert_is_job(ingest, answer, audio)


REFUSED_CREATIONS: list[tuple[dict[str, str], int, str]] = [
    ({}, 400, "invalid_upload"),
    ({"Upload-Length": "x"}, 400, "invalid_upload"),
    ({"Upload-Length": "-1"}, 400, "invalid_upload"),
    ({"Upload-Length": "9" * 40}, 400, "invalid_upload"),
    ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, 400, "invalid_upload"),
    ({"Upload-Defer-Length": "2"}, 400, "invalid_upload"),
    ({"Upload-Length": "0"}, 400, "empty_upload"),
    ({"Upload-Length": str(6 << 30)}, 413, "too_large"),
    ({"Upload-Length": "5", "Upload-Concat": "partial"}, 400, "invalid_upload"),
    ({"Upload-Length": "5", "Upload-Metadata": metadata(colour="red")}, 400, "invalid_option"),
    ({"Upload-Length": "5", "Upload-Metadata": metadata(language="tlh")}, 400, "invalid_option"),
    ({"Upload-Length": "5", "Upload-Metadata": metadata(prompt=b"\xff")}, 400, "invalid_option"),
    ({"Upload-Length": "5", "Upload-Metadata": "language en"}, 400, "invalid_option"),
    ({"Upload-Length": "5", "Upload-Metadata": "language ZW4=,language ZW4="}, 400, "invalid_option"),
    ({"Upload-Length": "5", "Upload-Metadata": "language ZW4=,, "}, 400, "invalid_option"),
]


@pytest.mark.parametrize(("headers", "status", "code"), REFUSED_CREATIONS, ids=lambda value: str(value)[:60])
async def test_refused_creations_leave_nothing(ingest: Ingest, headers: dict[str, str], status: int, code: str) -> None:
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    answer = await Tus.to(ingest).request("POST", "/v1/uploads", **named)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert await ingest.sql("SELECT 1 FROM uploads") == []


async def test_a_creation_with_another_body_is_refused(ingest: Ingest) -> None:
    answer = await Tus.to(ingest).create(5, b"audio", Content_Type="audio/wav")
    assert (answer.status, answer.code) == (415, "unsupported_content_type")


@pytest.mark.parametrize("version", [{"Tus-Resumable": "0.2.2"}, {}])
@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("HEAD", "/x"), ("PATCH", "/x"), ("DELETE", "/x")])
async def test_another_version_is_refused_before_anything_else(
    ingest: Ingest, version: dict[str, str], method: str, path: str
) -> None:
    async with ingest.client.request(method, f"{ingest.url}/v1/uploads{path}", headers=version) as answer:
        assert answer.status == 412
        assert (answer.headers["Tus-Version"], answer.headers["Tus-Resumable"]) == ("1.0.0", "1.0.0")


async def test_other_routes_need_no_tus_version(ingest: Ingest) -> None:
    async with ingest.client.get(ingest.url + "/v1/jobs") as answer:
        assert answer.status == 200
        assert "Tus-Resumable" not in answer.headers


@pytest.mark.parametrize("offset", [0, 999, 1001, 10**17])
async def test_a_wrong_offset_changes_nothing(ingest: Ingest, offset: int) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    await tus.patch(path, 0, audio[:1000])
    answer = await tus.patch(path, offset, audio[1000:2000])
    assert (answer.status, answer.code) == (409, "upload_offset_mismatch")
    assert (await tus.head(path)).offset == 1000
    await assert_is_job(ingest, await tus.patch(path, 1000, audio[1000:]), audio)


@pytest.mark.parametrize("bad", [{}, {"Upload_Offset": "x"}, {"Upload_Offset": "-1"}, {"Upload_Offset": "٣"}])
async def test_an_offset_must_be_a_number(ingest: Ingest, bad: dict[str, str]) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(1000)
    assert (await tus.request("PATCH", path, b"x", **bad)).code == "invalid_upload"


async def test_generated_clients_may_send_bytes_as_octets(ingest: Ingest) -> None:
    tus, audio, octets = Tus.to(ingest), wav(), "application/octet-stream"
    created = await tus.create(len(audio), audio[:1000], Content_Type=octets)
    assert (created.status, created.offset) == (201, 1000)
    path = created.headers["Location"].removeprefix(ingest.url)
    await assert_is_job(ingest, await tus.patch(path, 1000, audio[1000:], Content_Type=octets), audio)


async def test_a_wrong_content_type_is_refused(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(1000)
    answer = await tus.patch(path, 0, wav(), Content_Type="audio/wav")
    assert (answer.status, answer.code) == (415, "unsupported_content_type")
    assert (await tus.head(path)).offset == 0


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_longer_than_the_upload_is_refused_as_a_whole(
    ingest: Ingest,
    is_chunked: bool,  # noqa: FBT001
) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    await tus.patch(path, 0, audio[:1000])
    rest = audio[1000:]
    answer = await tus.patch(path, 1000, chunked(rest, b"x") if is_chunked else rest + b"x")
    assert (answer.status, answer.code) == (413, "too_large")
    assert (await tus.head(path)).offset == 1000
    assert len(parts_left(ingest)) == 1


@pytest.mark.parametrize("said_later", [False, True])
async def test_the_maximum_size_applies_to_a_deferred_length(
    settings: IngestSettings,
    said_later: bool,  # noqa: FBT001
) -> None:
    async with serving(settings, max_upload_bytes=1000) as ingest:
        tus = Tus.to(ingest)
        path = await tus.created(None)
        said = {"Upload_Length": "1001"} if said_later else {}
        answer = await tus.patch(path, 0, wav(1000)[: 500 if said_later else 1001], **said)
        assert (answer.status, answer.code) == (413, "too_large")
        assert (await tus.head(path)).offset == 0


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_a_checksum_is_verified(ingest: Ingest, algorithm: str) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    half, rest = audio[:10_000], audio[10_000:]
    assert (await tus.patch(path, 0, half, Upload_Checksum=checksum(algorithm, half))).offset == 10_000
    wrong = await tus.patch(path, 10_000, rest, Upload_Checksum=checksum(algorithm, half))
    assert (wrong.status, wrong.code) == (460, "checksum_mismatch")
    assert (await tus.head(path)).offset == 10_000
    assert len(parts_left(ingest)) == 1
    await assert_is_job(ingest, await tus.patch(path, 10_000, rest, Upload_Checksum=checksum(algorithm, rest)), audio)


@pytest.mark.parametrize("said", ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1", "sha1 x", "sha1 AAAA", ""])
async def test_a_checksum_that_cannot_be_verified_is_refused(ingest: Ingest, said: str) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(1000)
    answer = await tus.patch(path, 0, wav()[:1000], Upload_Checksum=said)
    assert (answer.status, answer.code) == (400, "invalid_upload")
    assert (await tus.head(path)).offset == 0


async def test_a_checksum_mismatch_does_not_end_an_upload(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    damaged = b"?" + audio[1:]
    assert (await tus.patch(path, 0, damaged, Upload_Checksum=checksum("sha1", audio))).status == 460
    await assert_is_job(ingest, await tus.patch(path, 0, audio, Upload_Checksum=checksum("sha1", audio)), audio)


async def refused_as_no_audio(ingest: Ingest, answer: Answer, path: str) -> None:
    assert (answer.status, answer.code) == (415, "unsupported_media")
    assert (await Tus.to(ingest).head(path)).status == 410
    assert await no_upload_is_left(ingest)
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize("sizes", [(100_000,), (8192, 1), (5000, 5000), (1, 8190, 1)])
@pytest.mark.parametrize("verified", [False, True])
async def test_an_upload_that_is_not_audio_is_refused_as_early_as_possible(
    ingest: Ingest,
    sizes: tuple[int, ...],
    verified: bool,  # noqa: FBT001
) -> None:
    tus, page = Tus.to(ingest), b"<html>" * 20_000
    path = await tus.created(10**9)
    offset = 0
    for size in sizes:
        piece = page[offset : offset + size]
        said = {"Upload_Checksum": checksum("sha1", piece)} if verified else {}
        answer = await tus.patch(path, offset, piece, **said)
        offset += size
        if offset >= 8192:
            break
        assert answer.status == 204
    await refused_as_no_audio(ingest, answer, path)


async def test_a_small_upload_that_is_not_audio_is_refused_at_its_end(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(6)
    assert (await tus.patch(path, 0, b"<ht")).status == 204
    await refused_as_no_audio(ingest, await tus.patch(path, 3, b"ml>"), path)


async def test_a_creation_whose_bytes_are_not_audio_leaves_no_upload(ingest: Ingest) -> None:
    answer = await Tus.to(ingest).create(6, b"<html>")
    assert (answer.status, answer.code) == (415, "unsupported_media")
    assert "Location" not in answer.headers
    assert await no_upload_is_left(ingest)


@pytest.mark.parametrize("sent", [0, 10_000])
async def test_a_terminated_upload_is_gone(ingest: Ingest, sent: int) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio), Upload_Metadata=metadata(prompt="Ada"))
    await tus.patch(path, 0, audio[:sent])
    answer = await tus.request("DELETE", path)
    assert (answer.status, answer.headers["Tus-Resumable"]) == (204, "1.0.0")
    answers = [await tus.head(path), await tus.patch(path, sent, b""), await tus.request("DELETE", path)]
    assert [answer.status for answer in answers] == [410, 410, 410]
    assert "Upload-Offset" not in answers[0].headers
    assert await no_upload_is_left(ingest)
    assert [tuple(row) for row in await ingest.sql("SELECT options, metadata FROM uploads")] == [(None, None)]


async def test_a_job_outlives_its_upload(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    created = await tus.create(len(audio), audio)
    assert (await tus.request("DELETE", created.headers["Location"])).status == 204
    assert (await tus.head(created.headers["Location"])).status == 410
    await assert_is_job(ingest, created, audio)


async def test_an_expired_upload_is_gone(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    await tus.patch(path, 0, audio[:10])
    await ingest.sql("UPDATE uploads SET expires_at = now() - interval '1 s'")
    assert (await tus.head(path)).status == 410
    answer = await tus.patch(path, 10, audio[10:])
    assert (answer.status, answer.code) == (410, "upload_gone")


async def test_each_part_extends_the_expiry(settings: IngestSettings) -> None:
    async with serving(settings, upload_expires_hours=2) as ingest:
        tus = Tus.to(ingest)
        path = await tus.created(1000)
        await ingest.sql("UPDATE uploads SET expires_at = now() + interval '1 s'")
        await tus.patch(path, 0, wav()[:10])
        (row,) = await ingest.sql("SELECT expires_at > now() + interval '1.9 h' AS is_far FROM uploads")
        assert row["is_far"]


@pytest.mark.parametrize(
    "name", ["x", "00000000-0000-7000-8000-000000000000", "%00", "{00000000-0000-7000-8000-000000000000}"]
)
async def test_an_unknown_upload_gets_a_404(ingest: Ingest, name: str) -> None:
    tus = Tus.to(ingest)
    assert (await tus.head(f"/v1/uploads/{name}")).status == 404
    assert (await tus.patch(f"/v1/uploads/{name}", 0, b"x")).code == "not_found"
    assert (await tus.request("DELETE", f"/v1/uploads/{name}")).code == "not_found"


async def test_an_upload_of_another_tenant_gets_a_404(ingest: Ingest) -> None:
    tus = Tus.to(ingest)
    path = await tus.created(1000)
    await ingest.sql("UPDATE uploads SET tenant = 'other'")
    assert (await tus.head(path)).status == 404
    assert (await tus.patch(path, 0, b"x")).code == "not_found"
    assert (await tus.request("DELETE", path)).code == "not_found"


async def test_the_method_override_header_works(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    answer = await tus.request("POST", path, audio[:10], Upload_Offset="0", X_HTTP_Method_Override="PATCH")
    assert (answer.status, answer.offset) == (204, 10)
    answer = await tus.request("POST", path, X_HTTP_Method_Override="HEAD")
    assert (answer.status, answer.offset) == (200, 10)
    assert (await tus.request("POST", path, X_HTTP_Method_Override="DELETE")).status == 204
    assert (await tus.head(path)).status == 410


async def test_the_webhook_secret_is_not_echoed(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    said = metadata(webhook_url="http://example.com/hook", webhook_secret=SECRET)
    path = await tus.created(len(audio), Upload_Metadata=said)
    assert (await tus.head(path)).headers["Upload-Metadata"] == metadata(webhook_url="http://example.com/hook")
    job = await assert_is_job(ingest, await tus.patch(path, 0, audio), audio)
    assert (job["webhook_url"], job["webhook_secret"]) == ("http://example.com/hook", SECRET)


async def test_erasing_the_job_erases_the_metadata_of_its_upload(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    created = await tus.create(len(audio), audio, Upload_Metadata=metadata(filename="secret.wav"))
    assert await ingest.delete(created.headers["Content-Location"]) == 204
    (row,) = await ingest.sql("SELECT metadata, options, filename FROM uploads")
    assert set(row) == {None}


DESCRIBED = {
    ("/v1/uploads", "post"): ("201", {"invalid_upload", "invalid_option", "too_large", "unsupported_version"}),
    ("/v1/uploads/{upload_id}", "head"): ("200", {"not_found", "upload_gone", "unsupported_version", "upload_locked"}),
    ("/v1/uploads/{upload_id}", "patch"): (
        "204",
        {"not_found", "upload_gone", "upload_offset_mismatch", "upload_taken_over", "checksum_mismatch", "too_large"},
    ),
    ("/v1/uploads/{upload_id}", "delete"): ("204", {"not_found", "upload_gone", "upload_locked"}),
}


@pytest.mark.parametrize("operation", DESCRIBED, ids=str)
async def test_openapi_describes_the_routes(ingest: Ingest, operation: tuple[str, str]) -> None:
    success, codes = DESCRIBED[operation]
    _, document = await ingest.get("/schema/openapi.json")
    described = document["paths"][operation[0]][operation[1]]
    assert success in described["responses"]
    examples = [
        example["value"]["code"]
        for answer in described["responses"].values()
        for content in answer.get("content", {}).values()
        for example in content.get("examples", {}).values()
        if "code" in example["value"]
    ]
    if operation[1] == "head":  # its answers have no body
        assert {str(PROBLEM_TYPES[code].status) for code in codes} <= described["responses"].keys()
        assert not examples
    else:
        assert codes <= set(examples)
    (version,) = [one for one in described["parameters"] if one["name"] == "Tus-Resumable"]
    assert (version["in"], version["required"], version["schema"]["enum"]) == ("header", True, ["1.0.0"])
