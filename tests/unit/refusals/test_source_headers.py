"""`audio_headers`: which headers a client may have sent, and how they are sealed."""

import base64
from typing import Any

import pytest

from shared.schemas.source_headers import MAX_BYTES, decode_headers, encode_headers, names_of, why_no_headers
from shared.sealed import NotOpenedError, Seal, open_seal, why_no_seal
from shared.secret import Secret

KEY, OTHER = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer abc.def-ghi"},
        {"Cookie": "a=1; b=2", "X-Api-Key": "k", "Accept": "audio/*", "User-Agent": "me"},
        {f"x-{number}": "v" for number in range(16)},
    ],
)
def test_headers_that_are_accepted(headers: dict[str, str]) -> None:
    assert why_no_headers(headers) is None


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        *[(value, "must be an object") for value in (None, 1, "Authorization: x", ["a"], {"a": 1}, {"a": None})],
        ({f"x-{number}": "v" for number in range(17)}, "16 headers"),
        ({"x-long": "v" * MAX_BYTES}, "8192 bytes"),
        ({"X-A": "1", "x-a": "2"}, "twice"),
        *[({name: "v"}, "invalid name") for name in ("", " ", "a b", "a:", "a\r\nHost", "größe", "a\x00", "x" * 129)],
        *[
            ({name: "v"}, "sets itself")
            for name in ("Host", "HOST", "Content-Length", "content-type", "Transfer-Encoding", "TE", "Connection")
        ],
        *[({name: "v"}, "sets itself") for name in ("Range", "If-Range", "Upgrade", "Accept-Encoding", "Expect")],
        *[
            ({"x-a": text}, "invalid value of `x-a`")
            for text in ("", " v", "v ", "a\r\nHost: b", "a\nb", "a\rb", "a\x00b", "größe", "a\x7f", "a\x1b[2J")
        ],
    ],
)
def test_headers_that_are_refused(headers: Any, said: str) -> None:
    assert said in (why_no_headers(headers) or "")


def test_a_refusal_shows_no_value() -> None:
    assert "s3cret" not in (why_no_headers({"x-a": "s3cret\r\n"}) or "")


def test_headers_are_read_as_they_were_written() -> None:
    headers = {"Authorization": 'Basic "x"', "X-A": "b"}
    assert decode_headers(encode_headers(headers)) == {"authorization": 'Basic "x"', "x-a": "b"}
    assert names_of(headers) == "authorization,x-a"


def test_a_seal_opens_what_it_sealed_in_its_context_alone() -> None:
    seal = Seal(Secret(KEY))
    sealed = seal.seal("s3cret", "job 1")
    assert "s3cret" not in sealed
    assert sealed != seal.seal("s3cret", "job 1")
    assert seal.open(sealed, "job 1") == "s3cret"
    flipped = base64.b64encode(bytes([base64.b64decode(sealed)[0] ^ 1]) + base64.b64decode(sealed)[1:]).decode()
    for text, context in ((sealed, "job 2"), (flipped, "job 1"), ("", "job 1"), ("%", "job 1"), ("AAAA", "job 1")):
        with pytest.raises(NotOpenedError):
            seal.open(text, context)


def test_keys_can_be_replaced() -> None:
    sealed = Seal(Secret(KEY)).seal("s3cret", "job")
    both = Seal(Secret(f"{OTHER}, {KEY}"))
    assert both.open(sealed, "job") == "s3cret"
    with pytest.raises(NotOpenedError):
        Seal(Secret(OTHER)).open(sealed, "job")
    assert Seal(Secret(OTHER)).open(both.seal("new", "job"), "job") == "new"


@pytest.mark.parametrize("keys", ["x", "AAAA", f"{KEY},", f"{KEY},AAAA", KEY[:-4], "s3cret"])
def test_malformed_keys_are_refused_without_showing_them(keys: str) -> None:
    problem = why_no_seal(Secret(keys))
    assert problem.startswith("HEADRACE_ENCRYPTION_KEYS must be")
    assert "s3cret" not in problem


def test_without_keys_there_is_no_seal() -> None:
    assert (open_seal(Secret("")), why_no_seal(Secret(""))) == (None, "")
