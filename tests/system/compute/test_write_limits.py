"""What a compute child writes is limited for every request: in bytes, and by the disk's reserve."""

import typing
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import soundfile

from processor_service.audio.scratch_files import WriteLimits
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import (
    DenoiseChunk,
    EmbedSample,
    EncodePieces,
    FindTurns,
    FindVoices,
    JoinDenoised,
    Prepared,
    ProcessChunk,
    RedactAudio,
    Request,
    SplitSource,
    Warm,
)
from processor_service.errors import PermanentError, TransientError
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from tests.support.audio.amplified import repeating_mov
from tests.support.clips import GUTENBERG
from tests.support.models import speaker_weights
from tests.system.compute.conftest import ANY, LONG, Model, Pool

pytestmark = pytest.mark.process

MORE_THAN_ANY_DISK = 1 << 60
MEBIBYTE = 1 << 20
WRITE_NOTHING = {Warm, FindTurns, EmbedSample}


def _split(model: Model, out: Path) -> SplitSource:
    return SplitSource(source_path=str(model.path), out_dir=str(out), threshold_s=9, chunk_s=9, max_audio_s=60)


def _denoising(model: Model, out: Path) -> ProcessChunk:
    request = model.request()
    options = JobOptions(denoise=True)
    return msgspec.structs.replace(request, options=options, denoised_path=str(out / "denoised.flac"))


def _encoding(model: Model, out: Path) -> EncodePieces:
    info = soundfile.info(GUTENBERG.path)
    chunk = ChunkFile(
        path=str(GUTENBERG.path),
        ordinal=0,
        file_start_frame=0,
        core_start_frame=0,
        core_end_frame=info.frames,
        sample_rate_hz=info.samplerate,
        channels=info.channels,
    )
    what = msgspec.structs.replace(model.request(), chunk=chunk)
    return EncodePieces(what=what, out_dir=str(out), longest_s=(30.0,))


def _finding_voices(model: Model, out: Path) -> FindVoices:
    weights = speaker_weights()
    if weights is None:
        pytest.skip("the package with the diarization nets is not available")
    return FindVoices(chunk=model.request().chunk, weights=weights, threads=1, voices_path=str(out / "voices"))


WRITING: dict[type, Callable[[Model, Path], Request]] = {
    SplitSource: _split,
    ProcessChunk: _denoising,
    DenoiseChunk: lambda model, out: DenoiseChunk(what=_denoising(model, out)),
    EncodePieces: _encoding,
    FindVoices: _finding_voices,
    RedactAudio: lambda model, out: RedactAudio(
        source_path=str(model.path), out_path=str(out / "redacted.flac"), spans=(), with_tone=False, max_audio_s=60
    ),
    JoinDenoised: lambda model, out: JoinDenoised(paths=(str(model.path),), out_path=str(out / "joined.flac")),
}


def test_every_request_is_listed() -> None:
    assert WRITING.keys() | WRITE_NOTHING == set(typing.get_args(Request))


@pytest.mark.parametrize("kind", WRITING)
async def test_a_request_writes_only_within_its_budget_and_not_the_reserve(
    kind: type, started: Pool, model: Model, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    request = WRITING[kind](model, out)
    async with started(memory_bytes=0) as pool, pool.slot() as slot:
        pid = slot.child.pid
        with pytest.raises(PermanentError) as too_much:
            await slot.ask(request, Prepared, time_limit=LONG, writes=WriteLimits(most_bytes=0))
        (out / "again").mkdir()
        request, writes = WRITING[kind](model, out / "again"), WriteLimits(min_free_bytes=MORE_THAN_ANY_DISK)
        with pytest.raises(TransientError) as full:
            await slot.ask(request, Prepared, time_limit=LONG, writes=writes)
        assert slot.child.pid == pid

    assert too_much.value.code is FailureCode.TOO_MUCH_AUDIO
    assert full.value.code is FailureCode.STORAGE_FULL


@pytest.mark.parametrize("channels", [1, 2, 8])
async def test_a_chunk_of_sound_that_is_named_again_and_again_is_refused(
    channels: int, started: Pool, tmp_path: Path
) -> None:
    source, out = tmp_path / "repeating.mov", tmp_path / "out"
    out.mkdir()
    decoded_bytes = repeating_mov(source, repeats=3000 // channels, channels=channels)
    assert decoded_bytes > 500 * source.stat().st_size / channels
    request = SplitSource(source_path=str(source), out_dir=str(out), threshold_s=1800, chunk_s=600, max_audio_s=86400)
    async with started() as pool, pool.slot() as slot:
        with pytest.raises(PermanentError) as failure:
            await slot.ask(request, Prepared, time_limit=LONG, writes=WriteLimits(most_bytes=8 * MEBIBYTE))

    assert failure.value.code is FailureCode.TOO_MUCH_AUDIO
    assert str(8 * MEBIBYTE) in failure.value.message
    assert sum(path.stat().st_size for path in out.iterdir()) < 10 * MEBIBYTE


async def test_a_small_file_with_hours_of_silence_is_refused_although_it_takes_no_space(
    started: Pool, tmp_path: Path
) -> None:
    source = tmp_path / "silent.mov"
    assert repeating_mov(source, repeats=2500, channels=8, peak=0) > 300 * MEBIBYTE
    request = SplitSource(
        source_path=str(source), out_dir=str(tmp_path), threshold_s=1800, chunk_s=600, max_audio_s=86400
    )
    async with started() as pool, pool.slot() as slot:
        with pytest.raises(PermanentError) as failure:
            await slot.ask(request, Prepared, time_limit=LONG, writes=WriteLimits(most_bytes=8 * MEBIBYTE))
        assert (await slot.ask(request, Prepared, time_limit=LONG, writes=WriteLimits(most_bytes=64 * MEBIBYTE))).audio

    assert failure.value.code is FailureCode.TOO_MUCH_AUDIO


async def test_the_limit_of_one_request_does_not_bind_the_next(started: Pool, model: Model, tmp_path: Path) -> None:
    async with started() as pool, pool.slot() as slot:
        with pytest.raises(PermanentError):
            await slot.ask(_split(model, tmp_path), Prepared, time_limit=LONG, writes=WriteLimits(most_bytes=0))
        prepared = await slot.ask(_split(model, tmp_path), Prepared, time_limit=LONG, writes=ANY)

    assert prepared.audio.duration_s == 2
