"""Samples without a header are stored as a WAV file."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.uploads.raw_pcm import HEADER, MAGIC_BYTES, with_wav_header
from shared.media.sniff_container import sniff_container
from tests.support.ingest.sounds import wav
from tests.tools.fuzz.forms import CUTS, cut

SAMPLES = np.random.default_rng(1).integers(-9000, 9000, 1600, np.int16)


def stored(pieces: Sequence[bytes]) -> bytes:
    async def read() -> bytes:
        return b"".join([piece async for piece in with_wav_header(_streamed(pieces))])

    return asyncio.run(read())


async def _streamed(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_the_samples_are_those_of_the_file() -> None:
    file = stored([SAMPLES.astype("<i2").tobytes()])
    samples, rate_hz = soundfile.read(io.BytesIO(file), dtype="int16")
    assert rate_hz == 16_000
    assert np.array_equal(samples, SAMPLES)
    assert sniff_container(file) == "wav"


@given(st.binary(max_size=99), CUTS)
def test_the_cuts_do_not_matter(body: bytes, places: Sequence[int]) -> None:
    assert stored([piece for piece in cut(body, places) if piece]) == (HEADER + body if body else b"")


@pytest.mark.parametrize("first", [1, MAGIC_BYTES - 1, MAGIC_BYTES, 5000])
def test_a_wav_file_gets_no_second_header(first: int) -> None:
    assert stored([wav()[:first], wav()[first:]]) == wav()


def test_another_riff_file_is_samples() -> None:
    assert stored([b"RIFF\0\0\0\0AVI "]).startswith(HEADER)
