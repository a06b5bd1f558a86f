"""Form parsing does not depend on cuts and has limits."""

from collections.abc import AsyncIterator, Iterable
from itertools import chain, islice, repeat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multipart import MultipartSegment, PushMultipartParser  # type: ignore[import-untyped] # it has no types

from ingest_service.errors import RefusedError
from ingest_service.uploads.form import MAX_FIELD_BYTES, MAX_HEADERS_BYTES, MAX_PARTS, read_form
from tests.tools.fuzz.forms import (
    AUDIO,
    BODIES,
    CUTS,
    DISPOSITION,
    Part,
    arriving,
    assert_no_cut_matters,
    at_once,
    cut,
    form,
    parse,
    parsed,
)


@given(BODIES, CUTS)
@example(b'--x\r\n\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--x--', [])
@example(form(DISPOSITION % b"a" + b"1", AUDIO % b"x" + b"\r\n--y"), range(200))
@example(b"preamble\r\n" + form(DISPOSITION % b"a"), [5, 10])
@example(b"pre" + form(DISPOSITION % b"a"), [3])
@example(form(b"X: a\nY: b\r\n" + DISPOSITION % b"a"), [10])
def test_the_result_does_not_depend_on_how_a_form_is_cut(body: bytes, places: Iterable[int]) -> None:
    assert at_once(parse(cut(body, places))) == assert_no_cut_matters(body)


@given(BODIES)
def test_the_library_agrees_on_accepted_forms(body: bytes) -> None:
    verdict, parts = parsed(body)
    if verdict == "accepted":
        assert parts == parsed_by_library(body)


def parsed_by_library(body: bytes) -> list[Part]:
    """The parts that the package `multipart` finds in a form in one piece. MultipartError."""
    parts: list[Part] = []
    with PushMultipartParser("x", max_header_count=1000, max_header_size=MAX_HEADERS_BYTES) as parser:
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                parts.append((event.name, event.filename, b""))
            elif event is not None:
                parts[-1] = (*parts[-1][:2], parts[-1][2] + event)
    return parts


HEADER = 'Content-Disposition: form-data; name="a"'
# Headers of one part, and the expected name and file name; None: refused.
HEADERS: dict[str, tuple[str | None, str | None] | None] = {
    HEADER: ("a", None),
    HEADER + '; filename="b.wav"\r\nContent-Type: audio/wav': ("a", "b.wav"),
    "content-disposition:form-data;name=a": ("a", None),
    "X-Trace: 1\r\n" + HEADER: ("a", None),
    "X-Trace: \r\n" + HEADER: ("a", None),
    "X-Trace: 1\r\nX-Trace: 2\r\n" + HEADER: ("a", None),
    HEADER + "; filename*=UTF-8''%e2%82%ac": ("a", None),
    'Content-Disposition: form-data; name="ü"; filename="日本.wav"': ("ü", "日本.wav"),
    r'Content-Disposition: form-data; name="a\"b"; filename="c\"d"': ('a"b', 'c"d'),
    'Content-Disposition: form-data; name="a%22b"; filename="c%0D%0Ad"': ('a"b', "c\r\nd"),
    "Content-Disposition: form-data": ("", None),
    HEADER + "\r\nContent-Length: 7": ("a", None),
    "\n" + HEADER: None,
    "\r" + HEADER: None,
    "\r\n" + HEADER: None,
    " \r\n" + HEADER: None,
    HEADER + "\n": None,
    HEADER + "\nX-Trace: 1": None,
    HEADER + "\rX-Trace: 1": None,
    HEADER + "\r\n folded": None,
    "X-Trace: 1\r\n\tfolded\r\n" + HEADER: None,
    " " + HEADER: None,
    HEADER.replace(":", " :"): None,
    HEADER.replace(":", ""): None,
    HEADER + "\0": None,
    "Ü: 1\r\n" + HEADER: None,
    ": 1\r\n" + HEADER: None,
    HEADER + "\r\n" + HEADER: None,
    "X-Trace: 1": None,
    HEADER.replace("form-data", "attachment"): None,
    HEADER + "\r\nContent-Length: 6": None,
    HEADER + "\r\nContent-Length: 8": None,
    HEADER + "\r\nContent-Length: +7": None,
    HEADER + "\r\nContent-Length: \u0667": None,
    HEADER + "\r\nContent-Length: 7\r\nContent-Length: 7": None,
    "": None,
}  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_follow_the_grammar(headers: str) -> None:
    verdict, parts = assert_no_cut_matters(form(headers.encode() + b"\r\n\r\ncontent"))
    expected = HEADERS[headers]
    assert (verdict == "accepted") is (expected is not None), verdict
    assert parts == ([(*expected, b"content")] if expected else [])


def test_headers_that_are_not_utf8_are_refused() -> None:
    assert "UTF-8" in assert_no_cut_matters(form(DISPOSITION % b"\xff"))[0]


A = DISPOSITION % b"a"
# Forms with one part `a`, and the expected content; None: refused.
FRAMES: dict[bytes, bytes | None] = {
    b"--x\r\n" + A + b"1\r\n--x--": b"1",
    b"--x\r\n" + A + b"1\r\n--x--\r\n": b"1",
    b"--x\r\n" + A + b"1\r\n--x--\r\nan epilogue\r\n--x\r\n" + A: b"1",
    b"--x\r\n" + A + b"1\r\n--x--an epilogue": b"1",
    b"\r\n--x\r\n" + A + b"1\r\n--x--": b"1",
    b"--x\r\n" + A + b"\r\n--x--": b"",
    b"--x\r\n" + A + b"\r\n\r\n--x--": b"\r\n",
    b"--x\r\n" + A + b"\r\n--\r\n-x\r\n--x--": b"\r\n--\r\n-x",
    b"--x\r\n" + A + b"\r\r\n-\r\n--\r\n--x--": b"\r\r\n-\r\n--",
    b"--x\r\n" + A + b"\n--x--\r--x--\r\n--x--": b"\n--x--\r--x--",
    b"--x\r\n" + A + b"\0--x\0\r\n--x--": b"\0--x\0",
    b"--x\r\n" + A + b"--x--\r\n--x--": b"--x--",  # the line break before it ends the headers
    b"": None,
    b"\r\n": None,
    b"--x": None,
    b"--x-": None,
    b"--x\r\n": None,
    b"--x\r\n" + A: None,
    b"--x\r\n" + A + b"1": None,
    b"--x\r\n" + A + b"1\r\n": None,
    b"--x\r\n" + A + b"1\r\n--x": None,
    b"--x\r\n" + A + b"1\r\n--x-": None,
    b"--x\r\n" + A + b"1\r\n--x\r": None,
    b"--x\r\n" + A + b"1\r\n--x\r\n": None,
    b"--x\r\n" + A + b"1\r\n--xy--": None,  # the content contains the boundary
    b"--x\r\n" + A + b"1\r\n--x\n": None,
    b"--x\r\n" + A + b"1\r\n--x  \r\n" + A + b"2\r\n--x--": None,  # transport padding, which HTTP does not use
    b"--x  \r\n" + A + b"1\r\n--x--": None,
    b"--x\n" + A + b"1\r\n--x--": None,
    b"--xy\r\n" + A + b"1\r\n--x--": None,
    b"--y\r\n" + A + b"1\r\n--x--": None,
    b"\n--x\r\n" + A + b"1\r\n--x--": None,
    b"\r\n\r\n--x\r\n" + A + b"1\r\n--x--": None,
    b"a preamble\r\n--x\r\n" + A + b"1\r\n--x--": None,
    b"--x\r\n\r\n--x--": None,
    b"--x\r\n\r\n1\r\n--x--": None,
    b"--x\r\n--x--": None,
}


@pytest.mark.parametrize("body", FRAMES)
def test_boundaries_follow_the_grammar(body: bytes) -> None:
    verdict, parts = assert_no_cut_matters(body)
    content = FRAMES[body]
    assert (verdict == "accepted") is (content is not None), verdict
    assert content is None or parts == [("a", None, content)]


@given(st.lists(st.tuples(st.sampled_from(["a", "audio_file", "ä"]), st.binary(max_size=40)), max_size=5))
def test_a_form_round_trips(fields: list[tuple[str, bytes]]) -> None:
    body = form(*(DISPOSITION % name.encode() + value for name, value in fields)) if fields else b"--x--\r\n"
    delimits = any(b"\r\n--x" in b"\r\n" + value for _, value in fields)
    verdict, parts = parsed(body)
    assert delimits or (verdict, [(name, value) for name, _, value in parts]) == ("accepted", fields)


@pytest.mark.parametrize("more", [0, 1])
def test_the_limit_of_headers_does_not_depend_on_the_cuts(more: int) -> None:
    filling = b"X: " + b"x" * (MAX_HEADERS_BYTES - len(b"\r\nX: \r\n" + A) + more) + b"\r\n"
    body = form(filling + A + b"1")
    refused = more == 1
    for step in (len(body), 1000, 1):
        verdict, _ = at_once(parse(cut(body, range(0, len(body), step))))
        assert verdict.startswith("invalid_form") is refused


@pytest.mark.parametrize("parts", [MAX_PARTS, MAX_PARTS + 1])
def test_parts_have_a_limit(parts: int) -> None:
    verdict, found = parsed(form(*[A] * parts))
    assert (verdict, len(found)) == ("accepted", parts) or ("parts" in verdict and parts > MAX_PARTS)


ENDLESS = {
    "a preamble": repeat(b"-" * 1000),
    "a boundary": chain([b"--x"], repeat(b"x" * 1000)),
    "a header": chain([b"--x\r\nContent-Disposition: "], repeat(b"x" * 1000)),
    "a folded header": chain([b"--x\r\nA: b"], repeat(b"\r\n " + b"x" * 1000)),
    "headers": chain([b"--x\r\n"], repeat(b"A: b\r\n")),
    "parts": chain([b"--x\r\n"], repeat(DISPOSITION % b"a" + b"\r\n--x\r\n")),
    "a text": chain([b"--x\r\n" + DISPOSITION % b"a"], repeat(b"x" * 1000)),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_an_endless_form_is_refused_early(what: str) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for piece in islice(ENDLESS[what], 10_000):
            read += len(piece)
            yield piece

    async def texts() -> None:
        async for part in read_form(pieces(), "x"):
            await part.text()

    with pytest.raises(RefusedError):
        at_once(texts())
    assert read < MAX_FIELD_BYTES + MAX_PARTS * 100


@pytest.mark.parametrize("boundary", ["b" * 201, "ä", "a\nb", "a\rb", ""])
def test_a_boundary_has_a_maximum_length(boundary: str) -> None:
    async def begin() -> None:
        async for _ in read_form(arriving([b"x"]), boundary):
            raise AssertionError("a part")

    with pytest.raises(RefusedError, match="invalid_form"):
        at_once(begin())
