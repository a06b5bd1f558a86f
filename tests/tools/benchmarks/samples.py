"""The recording that all contenders get, its text, and the decoded recording."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import soundfile

from processor_service.audio.decode import open_source
from processor_service.audio.write_chunks import write_chunks
from tests.support.acceptance.long_audio import write_long_audio

BUNDLED_S = 240.0
A_DAY_S = 24 * 3600.0


class Sample(NamedTuple):
    """A recording. `audio` is uploaded; `flac` is decoded before the runs, so that decoding is not measured."""

    name: str
    audio: Path
    flac: Path
    reference: str
    duration_s: float


@contextmanager
def sample(audio: Path | None, reference: Path | None) -> Iterator[Sample]:
    """A recording with its text, or the joined clips, in a folder that exists during the block."""
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        if audio is None:
            audio = Path(folder) / "clips.flac"
            text = " ".join(write_long_audio(audio, duration_s=BUNDLED_S))
        else:
            text = reference.read_text() if reference else ""
        flac = _decoded(audio, Path(folder) / "decoded")
        yield Sample(audio.name, audio, flac, text, soundfile.info(flac).duration)


def _decoded(audio: Path, folder: Path) -> Path:
    """One FLAC file of the whole, as the processor writes for a short file."""
    folder.mkdir()
    with open_source(audio, max_audio_s=A_DAY_S) as source:
        write_chunks(source, folder, threshold_s=A_DAY_S, on_chunk=lambda _: None)
    (flac,) = folder.iterdir()
    return flac
