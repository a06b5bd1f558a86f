"""Any header is parsed or refused with its code, and round-trips."""

import base64
from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.jobs.results import RangeNotSatisfiableError, parse_range
from ingest_service.middleware.upload_fast_path import parse_content_type
from ingest_service.tus.headers import NAMES, OFFSET_TYPE, parse_checksum, read_creation, read_metadata, read_patch
from ingest_service.uploads.body import ALGORITHMS, parse_digests

MAX_NUMBER = 10**18  # exclusive
LATIN = st.text(st.characters(max_codepoint=255), max_size=40)  # how header bytes are decoded
NUMBERS = st.integers(-2, 2 * MAX_NUMBER).map(str) | st.sampled_from(["", "0", "00", "1 ", "٣", "1e3", "²"]) | LATIN
BASE64 = st.binary(max_size=66).map(lambda data: base64.b64encode(data).decode())
CHECKSUMS = st.builds("{} {}".format, st.sampled_from(["sha1", "sha256", "md5", ""]), BASE64 | LATIN) | LATIN
HEADS = st.fixed_dictionaries(
    {},
    optional={
        "Upload-Offset": NUMBERS,
        "Upload-Length": NUMBERS,
        "Upload-Defer-Length": st.sampled_from(["1", "0", ""]) | LATIN,
        "Content-Length": NUMBERS,
        "Content-Type": st.sampled_from([OFFSET_TYPE, OFFSET_TYPE.upper() + " ; x"]) | LATIN,
        "Transfer-Encoding": st.just("chunked"),
        "Upload-Checksum": CHECKSUMS,
        "Upload-Concat": LATIN,
        "Upload-Metadata": LATIN,
    },
)
TUS_REFUSALS = {"invalid_upload", "unsupported_content_type", "empty_upload"}


@given(HEADS)
@example({"Content-Type": OFFSET_TYPE, "Upload-Offset": "٣"})
def test_a_patch_head_is_parsed_or_refused(headers: Mapping[str, str]) -> None:
    try:
        head = read_patch(headers)
    except RefusedError as error:
        assert error.code in TUS_REFUSALS  # noqa: PT017 - most are refused, some are valid
        return
    assert 0 <= head.offset_bytes < MAX_NUMBER
    assert str(head.offset_bytes) == headers["Upload-Offset"].lstrip("0") or head.offset_bytes == 0
    assert all(size is None or 0 <= size < MAX_NUMBER for size in (head.length_bytes, head.content_length))


@given(HEADS)
def test_a_creation_head_is_parsed_or_refused(headers: Mapping[str, str]) -> None:
    try:
        head = read_creation(headers)
    except RefusedError as error:
        assert error.code in TUS_REFUSALS  # noqa: PT017
        return
    assert (head.length_bytes is None) is (headers.get("Upload-Defer-Length") == "1")
    assert head.length_bytes is None or 0 < head.length_bytes < MAX_NUMBER
    assert head.first is None or head.first.offset_bytes == 0


@given(CHECKSUMS)
def test_a_checksum_has_the_length_of_its_algorithm(header: str) -> None:
    try:
        checksum = parse_checksum(header)
    except RefusedError as error:
        assert error.code == "invalid_upload"  # noqa: PT017
        return
    assert checksum is not None
    assert len(checksum.digest) == checksum.hasher().digest_size


PAIRS = st.builds(
    "{} {}".format, st.sampled_from([*NAMES, "filetype", "language", "model", "a"]) | LATIN, BASE64 | LATIN
)


@given(st.lists(PAIRS | LATIN, max_size=4).map(",".join))
@example("filename " + base64.b64encode(b"\xff\0").decode())
@example("webhook_secret " + base64.b64encode(b"whsec_secret").decode())
def test_metadata_is_parsed_or_refused_and_shows_no_secret(header: str) -> None:
    try:
        metadata = read_metadata(header)
    except RefusedError as error:
        assert error.code == "invalid_option"  # noqa: PT017
        return
    assert metadata.filename is None or metadata.filename.isprintable()
    assert "webhook_secret" not in (metadata.shown or "")
    assert metadata.shown is None or read_metadata(metadata.shown).shown == metadata.shown


@given(st.builds("bytes={}-{}".format, NUMBERS, NUMBERS) | LATIN, st.integers(0, MAX_NUMBER))
@example("bytes=-0", 5)
@example("bytes=0-0", 1)
def test_a_range_lies_within_the_blob(header: str, size: int) -> None:
    try:
        span = parse_range(header, size)
    except RangeNotSatisfiableError as error:
        assert error.size == size  # noqa: PT017
        return
    if span:
        start, end = span
        assert 0 <= start < end <= size


DIGESTS = st.builds("{}=:{}:{}".format, st.sampled_from([*ALGORITHMS, "md5", ""]), BASE64 | LATIN, LATIN | st.just(""))


@given(st.lists(DIGESTS | LATIN, max_size=3).map(",".join))
def test_a_digest_has_the_length_of_its_algorithm(header: str) -> None:
    try:
        digests = parse_digests(header)
    except RefusedError as error:
        assert error.code == "invalid_digest"  # noqa: PT017
        return
    assert all(len(digest.value) == ALGORITHMS[digest.algorithm]().digest_size for digest in digests)


TYPES = st.lists(
    st.sampled_from(["multipart/form-data", ";", " ", "boundary", "BOUNDARY", "=", '"', "x", ",", "\\"]) | LATIN
).map("".join)


@given(TYPES)
@example('multipart/form-data; boundary="x y"')
def test_a_content_type_has_a_lower_case_type_and_an_optional_boundary(header: str) -> None:
    kind, boundary = parse_content_type(header)
    assert kind == kind.strip().lower()
    assert ";" not in kind
    assert boundary is None or boundary in header
