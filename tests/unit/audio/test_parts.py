"""A part of a recording has the samples that the whole has there, whatever the container."""

from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from processor_service.audio.decode import open_source
from processor_service.audio.peaks import PeakMeter
from processor_service.audio.skip_packets import PREROLL_S
from processor_service.audio.write_chunks import ChunkFile, write_chunks
from processor_service.errors import AudioError
from shared.schemas.failures import FailureCode
from shared.schemas.job_parts import WHOLE, Part
from tests.support.audio.films import write_film
from tests.support.audio.make_files import encoded
from tests.support.audio.signals import CLIP, Signal

RATE_HZ = 24_000
MIDDLE = Part(7.25, 9.5)
SKIPPED = {"wav", "flac", "aiff", "opus.webm", "ogg", "opus.ogg", "aac.mp4", "aac.mkv", "pcm.mov"}  # not decoded before
CODECS = {
    "opus.webm": ("webm", "libopus"),
    "opus.ogg": ("ogg", "libopus"),
    "aac.mp4": ("mp4", "aac"),
    "aac.mkv": ("matroska", "aac"),
    "pcm.mov": ("mov", "pcm_s16le"),
    "vbr.mp3": ("mp3", "libmp3lame"),
    "adts.aac": ("adts", "aac"),
}


def speech(repeats: int = 4) -> Signal:
    samples, rate_hz = soundfile.read(CLIP, dtype="float32")
    return np.tile(soxr.resample(samples, rate_hz, RATE_HZ)[: 3 * RATE_HZ + 777], repeats) * np.linspace(
        0.5, 1, repeats * (3 * RATE_HZ + 777), dtype=np.float32
    )


def recording(folder: Path, name: str, signal: Signal) -> Path:
    path = folder / f"a.{name}"
    if name in CODECS:
        container, codec = CODECS[name]
        options = {"q": "4"} if codec == "libmp3lame" else None
        rate_hz = 48_000 if codec == "libopus" else RATE_HZ
        path.write_bytes(encoded(container, codec, soxr.resample(signal, RATE_HZ, rate_hz), rate_hz, options))
    else:
        raw = BytesIO()
        soundfile.write(raw, signal, RATE_HZ, format=name.upper())
        path.write_bytes(raw.getvalue())
    return path


def read(path: Path, part: Part = WHOLE) -> tuple[Signal, int]:
    """The samples, and how many of the frames before the part were not decoded."""
    with open_source(path, max_audio_s=3600, part=part) as source:
        samples = np.concatenate(list(source))[:, 0]
        return samples, source._decoder.first_frame


@pytest.mark.parametrize("name", ["wav", "flac", "aiff", "ogg", *CODECS])
def test_a_part_has_the_samples_of_the_whole(tmp_path: Path, name: str) -> None:
    path = recording(tmp_path, name, speech())
    with open_source(path) as source:
        rate_hz = source.sample_rate_hz
    whole, first = read(path)
    assert first == 0
    part, skipped = read(path, MIDDLE)
    start, end = round(MIDDLE.start_s * rate_hz), round(9.5 * rate_hz)
    assert len(part) == end - start
    late = max(range(-300, 301), key=lambda shift: float(part @ whole[start + shift : end + shift]))
    assert abs(late) <= (rate_hz / 1000 if name.endswith((".webm", ".mkv")) else 0)  # their time stamps are whole ms
    assert np.abs(part - whole[start + late : end + late]).max() < 0.02
    assert (skipped > (MIDDLE.start_s - 2 * PREROLL_S) * rate_hz) == (name in SKIPPED)


@pytest.mark.parametrize("name", ["wav", "opus.webm", "aac.mp4", "vbr.mp3"])
def test_the_rest_of_a_recording(tmp_path: Path, name: str) -> None:
    path = recording(tmp_path, name, speech())
    with open_source(path) as source:
        rate_hz = source.sample_rate_hz
    whole, rest = read(path)[0], read(path, Part(10.0))[0]
    assert len(rest) == pytest.approx(len(whole) - 10 * rate_hz, abs=0.05 * rate_hz)


@pytest.mark.parametrize("name", ["wav", "opus.webm", "ogg", "aac.mp4", "vbr.mp3", "adts.aac"])
def test_a_start_beyond_the_end_says_the_length(tmp_path: Path, name: str) -> None:
    path = recording(tmp_path, name, speech(2))
    with pytest.raises(AudioError, match=r"^The recording is 6\.[01][0-9]{2} seconds long: `start`, 60 seconds") as why:
        read(path, Part(60.0))
    assert why.value.code == FailureCode.START_AFTER_END


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_a_part_after_a_gap_is_where_the_file_has_it(tmp_path: Path, kind: str) -> None:
    """The clock is not plain, so that all is decoded."""
    path = write_film(
        tmp_path / f"a.{kind}",
        soxr.resample(speech(), RATE_HZ, 48_000),
        stamp=lambda at_s: at_s if at_s < 3 else at_s + 5,
        video_s=20,
    )
    whole, part = read(path)[0], read(path, Part(9.0, 12.0))[0]
    assert np.abs(part - whole[9 * 48_000 : 12 * 48_000]).max() < 0.02
    assert np.abs(part).max() > 0.1


def test_the_longest_audio_is_that_of_the_part(tmp_path: Path) -> None:
    path = recording(tmp_path, "wav", speech(10))
    with open_source(path, max_audio_s=5, part=Part(20.0, 24.0)) as source:
        assert len(np.concatenate(list(source))) == 4 * RATE_HZ
    with open_source(path, max_audio_s=5, part=Part(20.0)) as source, pytest.raises(AudioError, match="5 seconds"):
        list(source)


def test_chunks_of_a_part_count_from_the_start_of_the_recording(tmp_path: Path) -> None:
    path = recording(tmp_path, "flac", speech(12))
    chunks: list[ChunkFile] = []
    with open_source(path, part=Part(9.0, 30.0)) as source:
        meter = PeakMeter(source.sample_rate_hz, 1, start_frame=source.start_frame)
        prepared = write_chunks(source, tmp_path, threshold_s=8, chunk_s=6, on_chunk=chunks.append, on_block=meter.add)
    assert prepared.duration_s == 21.0
    assert chunks[0].core_start_frame == 9 * RATE_HZ
    assert chunks[-1].core_end_frame == 30 * RATE_HZ
    assert all(one.core_end_frame == other.core_start_frame for one, other in pairwise(chunks))
    whole = read(path)[0]
    for one in chunks:
        samples = soundfile.read(one.path, dtype="float32")[0]
        expected = whole[one.file_start_frame : one.file_start_frame + len(samples)]
        assert np.abs(samples - expected).max() < 0.001
    pairs = meter.pairs()
    assert len(pairs) == 30 * 20
    assert not pairs[: 9 * 20].any()
    assert pairs[9 * 20 :].any()
