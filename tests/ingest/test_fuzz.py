"""What nobody would think of sending: forms, first bytes and options that Hypothesis makes up."""

import json
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from itertools import chain, islice, pairwise, repeat
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.jobs.find_results import MEDIA_TYPES
from ingest_service.receive.lone_part import lone_part
from ingest_service.receive.read_form import MAX_FIELD_BYTES, MAX_PARTS, read_form, split_form
from ingest_service.receive.read_options import OPTION_TYPES, OptionTexts
from ingest_service.receive.receive_upload import clean_filename
from shared.options import SubmitOptions
from shared.sniff_container import FIXED_MAGIC, HEAD_BYTES, sniff_container

DISPOSITION = b'Content-Disposition: form-data; name="%s"\r\n\r\n'
AUDIO = b'Content-Disposition: form-data; name="audio_file"; filename="%s"\r\n\r\n'
WORDS = [
    b"--x", b"\r\n--x\r\n", b"\r\n--x--", b"--", b"\r\n", b"\r", b"\n", b"-", b"x", b":", b" ", b"\x00", b"",
    b'Content-Disposition: form-data; name="', b'"; filename="', b"; filename*=UTF-8''%ff", b"name=", b";;",
    b"Content-Length: 3\r\n", b"Content-Length: -1\r\n", b"Content-Type: multipart/mixed; boundary=x\r\n",
    b"\r\n folded", DISPOSITION % b"a", DISPOSITION % b"audio_file", AUDIO % b"../\x00",
]  # fmt: skip
Parsed = tuple[str, list[tuple[str, str | None, bytes]]]


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        if piece:
            yield piece


async def parse(pieces: Iterable[bytes]) -> Parsed:
    """How the form ends, and its parts up to there; of a refused one what was read of the last part is left out."""
    parts = []
    try:
        async for part in read_form(arriving(pieces), "x"):
            parts.append((part.name, part.filename, b"".join([piece async for piece in part.stream()])))  # noqa: PERF401 - a refusal keeps them
    except RefusedError as error:
        return error.code, parts
    return "accepted", parts


def cut(body: bytes, places: Iterable[int]) -> Iterator[bytes]:
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return (body[start:end] for start, end in pairwise(edges))


def form(*parts: bytes) -> bytes:
    return b"--x\r\n" + b"\r\n--x\r\n".join(parts) + b"\r\n--x--\r\n"


# Made of words that matter, between a beginning and an end that may be right.
BODIES = st.builds(
    lambda begin, words, end: begin + b"".join(words) + end,
    st.sampled_from([b"", b"--x\r\n", b"\r\n--x\r\n", b"--x\r\n" + DISPOSITION % b"a"]),
    st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=12),
    st.sampled_from([b"", b"\r\n--x--", b"\r\n--x--\r\n"]),
)


@given(BODIES, st.lists(st.integers(0, 10_000), max_size=8))
@example(form(DISPOSITION % b"a" + b"1", AUDIO % b"x" + b"\r\n--y"), range(200))
@example(b"preamble\r\n" + form(DISPOSITION % b"a"), [5, 10])
@example(b"pre" + form(DISPOSITION % b"a"), [3])
@example(form(b"X: a\nY: b\r\n" + DISPOSITION % b"a"), [10])
def test_a_form_is_judged_the_same_in_whatever_pieces_it_comes(body: bytes, places: Iterable[int]) -> None:
    whole = at_once(parse([body]))
    assert whole[0] in {"accepted", "invalid_form"}
    assert at_once(parse(cut(body, places))) == whole
    assert at_once(parse(cut(body, range(len(body))))) == whole
    assert split(body) == whole


LONE_HEADERS = st.builds(
    lambda name, file, kind: b'Content-Disposition: form-data; name="' + name + b'"' + file + b"\r\n" + kind + b"\r\n",
    st.sampled_from([b"a", b"audio_file", b"", b"a b", b"a-b"]),
    st.sampled_from([b"", b";", b'; filename=""'])
    | st.text('a. -\\/:%"', max_size=5).map(lambda name: b'; filename="' + name.encode() + b'"'),
    st.sampled_from([b"", b"Content-Type: audio/x-wav\r\n", b"content-type: a; b=c\r\n", b"Content-Type:\r\n"]),
)
LONE_CONTENTS = st.lists(st.sampled_from([b"RIFF", b"\r\n", b"\r\n--", b"x", b"--x--"]), max_size=5).map(b"".join)


@given(
    LONE_HEADERS, LONE_CONTENTS, st.sampled_from([b"\r\n--x--", b"\r\n--x--\r\n", b"\r\n--x--\r\nmore", b"\r\n--x\r\n"])
)
@example(AUDIO.replace(b"%s", b".."), b"RIFF", b"\r\n--x--\r\n")
def test_a_form_of_one_part_is_judged_the_same_at_a_glance(headers: bytes, content: bytes, end: bytes) -> None:
    body = b"--x\r\n" + headers + content + end
    assert split(body) == at_once(parse([body]))


def test_a_usual_form_needs_no_parser() -> None:
    body = form(AUDIO % b"my talk-1.wav" + b"RIFF\r\n")
    assert lone_part(body, b"x") == ("audio_file", "my talk-1.wav", b"RIFF\r\n")


def split(body: bytes) -> Parsed:
    """As `parse`, of the form at hand."""
    parts: list[tuple[str, str | None, bytes]] = []
    try:
        parts.extend((part.name, part.filename, part.content) for part in split_form(body, "x"))
    except RefusedError as error:
        return error.code, parts
    return "accepted", parts


@given(st.lists(st.tuples(st.sampled_from(["a", "audio_file", "ä"]), st.binary(max_size=40)), max_size=5))
def test_what_is_put_into_a_form_comes_out_of_it(fields: list[tuple[str, bytes]]) -> None:
    body = form(*(DISPOSITION % name.encode() + value for name, value in fields)) if fields else b"--x--\r\n"
    delimits = any(b"\r\n--x" in b"\r\n" + value for _, value in fields)
    verdict, parts = at_once(parse([body]))
    assert delimits or (verdict, [(name, value) for name, _, value in parts]) == ("accepted", fields)


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
def test_an_endless_form_is_refused_before_much_of_it_is_kept(what: str) -> None:
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


def test_a_boundary_has_bounds() -> None:
    async def begin() -> None:
        async for _ in read_form(arriving([b"x"]), "b" * 201):
            raise AssertionError("a part")

    with pytest.raises(RefusedError, match="invalid_form"):
        at_once(begin())


MAGICS = [magic for magic, _ in FIXED_MAGIC] + [
    b"RIFF", b"RF64", b"FORM", b"WAVE", b"OggS\x00", b"ID3\x04\x00\x00", b"\xff\xfb", b"\x0b\x77", b"\xff\xf1", b"G",
    b"\x1a\x45\xdf\xa3", b"webm", b"\x00\x00\x01\xba", b"\x00\x00\x00\x20ftyp", b"moov", b"#EXTM3U\n", b"PK\x03\x04",
]  # fmt: skip


@given(st.lists(st.sampled_from(MAGICS) | st.binary(max_size=64), max_size=6).map(b"".join))
def test_whatever_the_first_bytes_are_there_is_a_verdict(head: bytes) -> None:
    container = sniff_container(head[:HEAD_BYTES])
    assert container is None or container in MEDIA_TYPES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([*OPTION_TYPES, "options"]) | st.text(max_size=10)
NESTED = st.dictionaries(st.sampled_from([*OPTION_TYPES]) | st.text(max_size=3), JSON, max_size=3).map(json.dumps)
ODD = st.sampled_from(["true", "1", "en", "mix", "1e999", "[" * 5000, "\0"])
TEXTS = st.text() | JSON.map(json.dumps) | NESTED | ODD


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=4))
def test_options_are_understood_or_refused_by_name(fields: list[tuple[str, str]]) -> None:
    texts = OptionTexts()
    try:
        for name, text in fields:
            texts.add(name, text)
        options = texts.options()
    except RefusedError as error:
        assert error.code == "invalid_option"  # noqa: PT017 - most are refused, some are not
        return
    stored = msgspec.json.encode(options)
    assert b"\x00" not in stored
    assert msgspec.json.encode(msgspec.json.decode(stored, type=SubmitOptions)) == stored


@given(st.text(st.characters(codec=None), max_size=300))  # lone surrogates, too
def test_a_file_name_is_cleaned_into_text_that_can_be_shown_and_stored(name: str) -> None:
    clean = clean_filename(name)
    assert clean is None or (clean.isprintable() and len(clean) <= 255)
    assert clean is None or clean.encode()
