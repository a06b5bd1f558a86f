"""Any option texts and first bytes are parsed or refused; nothing else is raised."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.errors import RefusedError
from ingest_service.jobs.media_types import MEDIA_TYPES
from ingest_service.uploads.parse_options import OPTION_TYPES, OptionCollector
from ingest_service.uploads.receive import clean_filename
from shared.media.sniff_container import FIXED_MAGIC, HEAD_BYTES, sniff_container
from shared.schemas.options import decode_submission, encode_submission

MAGICS = [magic for magic, _ in FIXED_MAGIC] + [
    b"RIFF", b"RF64", b"FORM", b"WAVE", b"OggS\x00", b"ID3\x04\x00\x00", b"\xff\xfb", b"\x0b\x77", b"\xff\xf1", b"G",
    b"\x1a\x45\xdf\xa3", b"webm", b"\x00\x00\x01\xba", b"\x00\x00\x00\x20ftyp", b"moov", b"#EXTM3U\n", b"PK\x03\x04",
]  # fmt: skip


@given(st.lists(st.sampled_from(MAGICS) | st.binary(max_size=64), max_size=6).map(b"".join))
def test_any_first_bytes_are_recognized_or_refused(head: bytes) -> None:
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
def test_options_are_parsed_or_refused_by_name(fields: list[tuple[str, str]]) -> None:
    texts = OptionCollector()
    try:
        for name, text in fields:
            texts.add(name, text)
        options = texts.options()
    except RefusedError as error:
        assert error.code == "invalid_option"  # noqa: PT017 - most are refused, some are valid
        return
    stored = encode_submission(options)
    assert b"\x00" not in stored
    assert encode_submission(decode_submission(stored)) == stored


@given(st.text(st.characters(codec=None), max_size=300))  # lone surrogates, too
def test_a_cleaned_file_name_is_printable_and_bounded(name: str) -> None:
    clean = clean_filename(name)
    assert clean is None or (clean.isprintable() and len(clean) <= 255)
    assert clean is None or clean.encode()
