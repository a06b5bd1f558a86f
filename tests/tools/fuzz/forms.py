"""Forms with the boundary `x`, cut into pieces and parsed."""

from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.uploads.form import read_form, split_form

DISPOSITION = b'Content-Disposition: form-data; name="%s"\r\n\r\n'
AUDIO = b'Content-Disposition: form-data; name="audio_file"; filename="%s"\r\n\r\n'
WORDS = [
    b"--x", b"\r\n--x\r\n", b"\r\n--x--", b"--", b"\r\n", b"\r", b"\n", b"-", b"x", b":", b" ", b"\t", b"\x00", b"",
    b'Content-Disposition: form-data; name="', b'"; filename="', b"; filename*=UTF-8''%ff", b"name=", b";;", b'\\"',
    b"Content-Length: 3\r\n", b"Content-Length: -1\r\n", b"Content-Type: multipart/mixed; boundary=x\r\n",
    b"\r\n folded", b"\r\n\r\n", b"X: y\r\n", "ü".encode(), DISPOSITION % b"a", DISPOSITION % b"audio_file",
    AUDIO % b"../\x00",
]  # fmt: skip

# Relevant tokens between a beginning and an end that may be valid.
BODIES = st.builds(
    lambda begin, words, end: begin + b"".join(words) + end,
    st.sampled_from([b"", b"--x\r\n", b"\r\n--x\r\n", b"--x\r\n" + DISPOSITION % b"a", b"--x\r\n" + AUDIO % b"a"]),
    st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=12),
    st.sampled_from([b"", b"\r\n--x--", b"\r\n--x--\r\n", b"\r\n\r\n\r\n--x--"]),
)
CUTS = st.lists(st.integers(0, 10_000), max_size=8)  # positions, modulo the length

Part = tuple[str, str | None, bytes]
Parsed = tuple[str, list[Part]]


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def parse(pieces: Iterable[bytes]) -> Parsed:
    """The result and the parts; for a refused form, the parts before the error."""
    parts = []
    try:
        async for part in read_form(arriving(pieces), "x"):
            parts.append((part.name, part.filename, b"".join([piece async for piece in part.stream()])))  # noqa: PERF401 - kept on a refusal
    except RefusedError as error:
        return str(error), parts
    return "accepted", parts


def parsed(body: bytes) -> Parsed:
    """`parse` of the form in one piece."""
    return at_once(parse([body]))  # type: ignore[no-any-return] # a coroutine's result


def split(body: bytes) -> Parsed:
    """`parse` with `split_form`; a refused form has no parts."""
    try:
        return "accepted", [(*part,) for part in split_form(body, "x")]
    except RefusedError as error:
        return str(error), []


def cut(body: bytes, places: Iterable[int]) -> Iterator[bytes]:
    edges = sorted([0, len(body), *(place % (len(body) + 1) for place in places)])
    return (body[start:end] for start, end in pairwise(edges))  # some of them may be empty


def assert_no_cut_matters(body: bytes) -> Parsed:
    """Assert equal results for single bytes and for every cut in two; return the result."""
    whole = parsed(body)
    assert whole[0] == "accepted" or whole[0].startswith("invalid_form"), whole
    assert at_once(parse(cut(body, range(len(body))))) == whole
    for place in range(len(body)):
        assert at_once(parse([body[:place], body[place:]])) == whole, place
    assert split(body) == (whole if whole[0] == "accepted" else (whole[0], []))
    return whole


def form(*parts: bytes) -> bytes:
    return b"--x\r\n" + b"\r\n--x\r\n".join(parts) + b"\r\n--x--\r\n"
