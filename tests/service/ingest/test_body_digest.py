"""`Content-Digest` and `Repr-Digest` (RFC 9530): a mismatch leaves nothing."""

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.uploads.body import Digest, parse_digests
from tests.service.ingest.test_submit import multipart_body
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

FIELDS = ["Content-Digest", "Repr-Digest"]
NOTHING = base64.b64encode(hashlib.sha256(b"").digest()).decode()


def digest(body: bytes, algorithm: str = "sha-256") -> str:
    value = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{base64.b64encode(value).decode()}:"


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
async def test_a_matching_digest_is_accepted(ingest: Ingest, field: str, algorithm: str) -> None:
    headers = {"Content-Type": "audio/wav", field: digest(wav(), algorithm)}
    assert (await ingest.post(wav(), headers=headers))[0] == 202


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
async def test_a_wrong_digest_is_refused_and_nothing_remains(ingest: Ingest, field: str, algorithm: str) -> None:
    wrong = digest(wav()[:-1], algorithm)
    status, problem = await ingest.post(wav(), headers={"Content-Type": "audio/wav", field: wrong})
    assert (status, problem["code"]) == (400, "digest_mismatch")
    assert algorithm in problem["detail"]
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize("path", ["/v1/jobs", "/api/upload-audio"])
async def test_the_digest_of_a_form_covers_the_whole_body(ingest: Ingest, path: str) -> None:
    body = multipart_body("x", ("audio_file", wav()), ("language", b"en")) + b"an epilogue"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, problem = await ingest.post(body, path, headers=headers | {"Content-Digest": digest(wav())})
    assert (status, problem["code"]) == (400, "digest_mismatch")
    await ingest.assert_nothing_is_left()
    assert (await ingest.post(body, path, headers=headers | {"Content-Digest": digest(body)}))[0] == 202


async def test_all_declared_digests_must_match(ingest: Ingest) -> None:
    good, bad = digest(wav()), digest(b"", "sha-512")
    both = [("Content-Type", "audio/wav"), ("Content-Digest", f"{good}, {bad}")]
    assert (await ingest.post(wav(), headers=both))[1]["code"] == "digest_mismatch"
    lines = [("Content-Type", "audio/wav"), ("Content-Digest", good), ("Content-Digest", bad)]
    assert (await ingest.post(wav(), headers=lines))[1]["code"] == "digest_mismatch"
    apart = [("Content-Type", "audio/wav"), ("Content-Digest", good), ("Repr-Digest", bad)]
    assert (await ingest.post(wav(), headers=apart))[1]["code"] == "digest_mismatch"
    await ingest.assert_nothing_is_left()


async def test_a_chunked_body_is_hashed_as_one(ingest: Ingest) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(wav()), 1000):
            yield wav()[start : start + 1000]

    headers = {"Content-Type": "audio/wav", "Content-Digest": digest(wav())}
    assert (await ingest.post(pieces(), headers=headers))[0] == 202


async def test_the_digest_of_a_json_body_is_checked(ingest: Ingest) -> None:
    body = b'{"audio_url": "https://example.com/"}'
    headers = {"Content-Type": "application/json", "Content-Digest": digest(body[1:])}
    assert (await ingest.post(body, headers=headers))[1]["code"] == "digest_mismatch"
    assert await ingest.job_count() == 0
    assert (await ingest.post(body, headers=headers | {"Content-Digest": digest(body)}))[0] == 202


@pytest.mark.parametrize(
    "field",
    [
        "sha-256",
        "sha-256=abc",
        f"sha-256=:{NOTHING}",
        f'sha-256="{NOTHING}"',
        f"SHA-256=:{NOTHING}:",
        "sha-256=:AAAA:",
        "sha-256=:=:",
        f"sha-512=:{NOTHING}:",
        "sha-256=:" + "A" * 41 + ":",
        f"sha-256=:{NOTHING}:,",
        f"sha-256=:{NOTHING}: x",
        "unheard-of=1",
    ],
)
async def test_a_malformed_digest_is_refused(ingest: Ingest, field: str) -> None:
    status, problem = await ingest.post(wav(), headers={"Content-Type": "audio/wav", "Content-Digest": field})
    assert (status, problem["code"]) == (400, "invalid_digest")
    await ingest.assert_nothing_is_left()


@pytest.mark.parametrize("field", ["", "md5=:AAAA:", "unixsum=:MA==:, id-sha-256=:AAAA:", "sha=:AAAA:;a;b=1"])
async def test_unknown_algorithms_are_ignored(ingest: Ingest, field: str) -> None:
    assert (await ingest.post(wav(), headers={"Content-Type": "audio/wav", "Repr-Digest": field}))[0] == 202


def test_padding_is_optional_and_parameters_are_ignored() -> None:
    value = hashlib.sha256(b"").digest()
    assert parse_digests(f" sha-256=:{NOTHING.rstrip('=')}:;a=1; b ,md5=:AAAA:") == [Digest("sha-256", value)]


@given(st.text())
def test_any_header_is_parsed_or_refused(field: str) -> None:
    try:
        assert all(len(found.value) in {32, 64} for found in parse_digests(field))
    except RefusedError as error:
        assert error.code == "invalid_digest"  # noqa: PT017 - both outcomes are valid
