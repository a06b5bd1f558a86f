"""The stages with a real child and a real blob store, without a database."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest
import pytest_asyncio
import soundfile

from processor_service.audio.load_mono import SAMPLE_RATE_HZ, load_mono_16k
from processor_service.compute.pool import ComputePool
from processor_service.errors import AudioError, ChildCrashError, PermanentError, TransientError
from processor_service.models.cache import ModelCache
from processor_service.settings import ProcessorSettings
from processor_service.stages.chunk import chunk
from processor_service.stages.finish import finish
from processor_service.stages.prepare import prepare
from processor_service.stages.work import Work
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import JobDone, Outcome, Split
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.peaks import Peaks
from shared.schemas.states import TaskKind
from shared.schemas.transcript import Transcript, WarningCode
from shared.secret import Secret
from tests.support.audio.amplified import repeating_mov
from tests.support.clips import GUTENBERG, NARRATIVE
from tests.support.models import speaker_weights
from tests.system.compute.conftest import RATE_HZ, Model, Pool

pytestmark = pytest.mark.process

JOB = new_id()
NO_LIMITS: dict[str, int] = {}
MORE_THAN_ANY_DISK = 1 << 60
Stage = Callable[[Work], Awaitable[Outcome]]
Do = Callable[..., Awaitable[Outcome]]


@pytest_asyncio.fixture
async def pool(started: Pool) -> AsyncIterator[ComputePool]:
    async with started(memory_bytes=0) as pool:  # as in the service: some stages load nets
        yield pool


@pytest.fixture
def blobs(storage_url: str) -> BlobStore:
    return BlobStore(storage_url)


@pytest.fixture
def do(pool: ComputePool, blobs: BlobStore, model: Model, storage_url: str, tmp_path: Path) -> Do:
    """Run a stage for a task."""
    settings = ProcessorSettings(
        database_url=Secret("postgres:"),
        redis_url=Secret("redis:"),
        storage_url=storage_url,
        transcriber="scripted",
        model=str(model.folder),
        chunk_threshold_s=4.0,
        chunk_s=2.0,
        slowest_speed=10.0,
    )

    async def do_one(
        stage: Stage,
        kind: TaskKind,
        *,
        timeout_s: float = 120.0,
        models: Path = tmp_path,
        limits: Mapping[str, int] = NO_LIMITS,
        **fields: object,
    ) -> Outcome:
        scratch = tmp_path / f"{kind}-{new_id()}"
        scratch.mkdir()
        async with pool.slot() as slot:
            work = Work(
                task=_task(kind, **fields),
                slot=slot,
                blobs=blobs,
                models=ModelCache(models),
                settings=msgspec.structs.replace(settings, stage_timeout_s=timeout_s, **limits),
                scratch=scratch,
                report_progress=lambda _: None,
            )
            return await stage(work)

    return do_one


def _task(kind: TaskKind, **fields: object) -> ClaimedTask:
    task = ClaimedTask(
        id=new_id(),
        job_id=JOB,
        generation=1,
        kind=kind,
        ordinal=0,
        lease_token=1,
        attempts=0,
        crashes=0,
        input=None,
        options=JobOptions(denoise=False),
        tenant="",
        chunk_count=0,
        chunk_generation=1,
        warnings=(),
    )
    return msgspec.structs.replace(task, **fields)


async def _upload(blobs: BlobStore, tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "source.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE_HZ), RATE_HZ)
    await blobs.put(blob_keys.source(JOB), path)


async def _transcript(blobs: BlobStore, generation: int) -> Transcript:
    return msgspec.json.decode(await blobs.get(blob_keys.transcript(JOB, generation)), type=Transcript)


async def test_prepare_finishes_a_short_file(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=3)
    outcome = await do(prepare, TaskKind.PREPARE)
    assert isinstance(outcome, JobDone)
    assert (await _transcript(blobs, 1)).text == "tick tick tick"


async def _peaks(blobs: BlobStore, generation: int = 1) -> Peaks:
    return msgspec.json.decode(await blobs.get(blob_keys.peaks(JOB, generation)), type=Peaks)


@pytest.mark.parametrize("seconds", [3, 8])
async def test_prepare_stores_the_peaks_of_the_whole_file(
    do: Do, blobs: BlobStore, tmp_path: Path, seconds: int
) -> None:
    """Of one chunk, and of several."""
    await _upload(blobs, tmp_path, seconds=seconds)
    await do(prepare, TaskKind.PREPARE)
    peaks, (samples, _) = await _peaks(blobs), soundfile.read(tmp_path / "source.wav")
    assert (peaks.length, peaks.sample_rate, peaks.samples_per_pixel) == (20 * seconds, RATE_HZ, RATE_HZ // 20)
    edges = samples.reshape(20 * seconds, -1)
    expected = np.stack([edges.min(axis=1), edges.max(axis=1)], axis=1).ravel()
    assert np.abs(np.array(peaks.data) - 128 * expected).max() <= 0.51
    with pytest.raises(BlobNotFoundError):
        await blobs.size(blob_keys.peaks_overview(JOB, 1))


async def test_a_file_of_more_than_an_hour_has_an_overview(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 10 * 4_000)
    soundfile.write(tmp_path / "source.flac", np.tile(noise, 361), 4_000)
    await blobs.put(blob_keys.source(JOB), tmp_path / "source.flac")

    outcome = await do(prepare, TaskKind.PREPARE, limits={"chunk_threshold_s": 3000, "chunk_s": 1800})

    assert isinstance(outcome, Split)
    detail = await _peaks(blobs)
    overview = msgspec.json.decode(await blobs.get(blob_keys.peaks_overview(JOB, 1)), type=Peaks)
    assert (detail.length, overview.length) == (72_200, 7_220)
    assert overview.samples_per_pixel == 10 * detail.samples_per_pixel == 2_000
    assert overview.data[0] == min(detail.data[:20])


async def test_the_peaks_count_against_the_budget_of_the_job(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=3)
    await do(prepare, TaskKind.PREPARE)
    peaks_bytes = await blobs.size(blob_keys.peaks(JOB, 1))
    with pytest.raises(AudioError) as failure:
        await do(prepare, TaskKind.PREPARE, limits={"derived_most_bytes": peaks_bytes - 1, "derived_least_bytes": 1})
    assert failure.value.code is FailureCode.TOO_MUCH_AUDIO


async def test_for_the_language_only_the_beginning_is_read(
    do: Do, blobs: BlobStore, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a long file, which would otherwise be divided."""
    monkeypatch.setattr("processor_service.stages.prepare.DETECTED_IN_S", 5.0)
    await _upload(blobs, tmp_path, seconds=40)

    outcome = await do(prepare, TaskKind.PREPARE, options=JobOptions(denoise=False, detect_language_only=True))

    assert outcome == JobDone((), "scripted", "scripted")
    (call,) = model.calls()
    assert 5 <= call.duration_s < 20
    found = await _transcript(blobs, 1)
    assert (found.text, found.segments, found.language) == ("", (), "en")


async def test_joined_files_are_one_job_and_unread_bytes_a_warning(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=1)
    path = tmp_path / "source.wav"
    path.write_bytes(path.read_bytes() * 2 + np.random.default_rng(1).bytes(4321))
    await blobs.put(blob_keys.source(JOB), path)
    outcome = await do(prepare, TaskKind.PREPARE)

    assert isinstance(outcome, JobDone)
    (warning,) = [each for each in outcome.warnings if each.code == WarningCode.TRAILING_DATA]
    assert "4321 bytes" in warning.message
    assert (await _transcript(blobs, 1)).duration == 2.0


async def test_a_later_generation_uses_the_chunks_of_an_earlier_one(
    do: Do, blobs: BlobStore, model: Model, tmp_path: Path
) -> None:
    await _upload(blobs, tmp_path, seconds=8)
    split = await do(prepare, TaskKind.PREPARE)
    assert isinstance(split, Split)
    assert len(split.chunks) == 4
    for ordinal, span in enumerate(split.chunks):
        generation = 1 if ordinal < 2 else 2  # redriven after two chunks
        await do(
            chunk, TaskKind.CHUNK, generation=generation, ordinal=ordinal, input=msgspec.Raw(msgspec.json.encode(span))
        )
    await do(finish, TaskKind.FINISH, generation=2, chunk_count=4)

    assert round((await _transcript(blobs, 2)).duration, 3) == 8.0
    assert len(model.calls()) == 4
    assert len({call.sha256 for call in model.calls()}) == 4


async def test_speakers_are_consistent_over_the_chunks_of_a_long_file(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    weights = speaker_weights()
    if weights is None:
        pytest.skip("the package with the diarization nets is not available")
    woman, man = (load_mono_16k(clip.path)[: 6 * SAMPLE_RATE_HZ] for clip in (GUTENBERG, NARRATIVE))
    pause = np.zeros(SAMPLE_RATE_HZ, np.float32)
    path = tmp_path / "source.wav"
    soundfile.write(path, np.concatenate([woman, pause, man, pause, woman]), SAMPLE_RATE_HZ)
    await blobs.put(blob_keys.source(JOB), path)
    common = {"options": JobOptions(denoise=False, diarize=True), "models": Path(weights.embedding).parent}

    split = await do(prepare, TaskKind.PREPARE, **common)
    assert isinstance(split, Split)
    for ordinal, span in enumerate(split.chunks):
        await do(chunk, TaskKind.CHUNK, ordinal=ordinal, input=msgspec.Raw(msgspec.json.encode(span)), **common)
    outcome = await do(finish, TaskKind.FINISH, chunk_count=len(split.chunks), **common)

    assert isinstance(outcome, JobDone)
    assert WarningCode.DIARIZATION_UNAVAILABLE not in {warning.code for warning in outcome.warnings}
    transcript = await _transcript(blobs, 1)
    assert transcript.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert {turn.speaker for turn in transcript.turns if turn.start > 13.5} == {"SPEAKER_00"}
    labels = {word.speaker for segment in transcript.segments for word in segment.words if 8 < word.start < 12}
    assert labels == {"SPEAKER_01"}


@pytest.mark.parametrize("seconds", [1.5, 6])
async def test_speakers_are_found_again_without_transcribing(
    do: Do, blobs: BlobStore, model: Model, tmp_path: Path, seconds: float
) -> None:
    """With one chunk, and with several."""
    weights = speaker_weights()
    if weights is None:
        pytest.skip("the package with the diarization nets is not available")
    voices = [load_mono_16k(clip.path)[: round(seconds * SAMPLE_RATE_HZ)] for clip in (GUTENBERG, NARRATIVE)]
    path = tmp_path / "source.wav"
    soundfile.write(path, np.concatenate(voices), SAMPLE_RATE_HZ)
    await blobs.put(blob_keys.source(JOB), path)
    await _all(do, options=JobOptions(denoise=False, diarize=True))  # without the nets
    before, calls = await _transcript(blobs, 1), len(model.calls())
    assert before.speakers == ()

    again = {"generation": 2, "chunk_generation": 2, "text_generation": 1}
    options = JobOptions(denoise=False, diarize=True, num_speakers=2)
    outcome = await _all(do, options=options, models=Path(weights.embedding).parent, **again)

    assert isinstance(outcome, JobDone)
    after = await _transcript(blobs, 2)
    assert len(model.calls()) == calls
    assert after.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert (after.text, after.duration) == (before.text, before.duration)
    assert WarningCode.DIARIZATION_UNAVAILABLE not in {warning.code for warning in outcome.warnings}
    assert await _transcript(blobs, 1) == before
    assert await _peaks(blobs, 2) == await _peaks(blobs, 1)


async def test_speakers_are_not_found_again_without_the_nets(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=3)
    with pytest.raises(PermanentError, match="not installed"):
        await do(prepare, TaskKind.PREPARE, generation=2, text_generation=1)


async def test_speakers_alone_are_found_without_transcribing(
    do: Do, blobs: BlobStore, model: Model, tmp_path: Path
) -> None:
    """Of a part that begins with the second voice, and of the whole, which has several chunks."""
    weights = speaker_weights()
    if weights is None:
        pytest.skip("the package with the diarization nets is not available")
    voices = [load_mono_16k(clip.path)[: 8 * SAMPLE_RATE_HZ] for clip in (GUTENBERG, NARRATIVE)]
    path = tmp_path / "source.wav"
    soundfile.write(path, np.concatenate(voices), SAMPLE_RATE_HZ)
    await blobs.put(blob_keys.source(JOB), path)

    nets = {"models": Path(weights.embedding).parent}
    await _all(do, options=JobOptions(diarize_only=True, num_speakers=2), **nets)
    whole = await _transcript(blobs, 1)
    await _all(do, options=JobOptions(diarize_only=True, start=9, end=12), generation=2, chunk_generation=2, **nets)
    part = await _transcript(blobs, 2)

    assert model.calls() == []
    assert (whole.speakers, part.speakers) == (("SPEAKER_00", "SPEAKER_01"), ("SPEAKER_00",))
    for found in (whole, part):
        assert found.text == ""
        assert [(one.speaker, one.start, one.end) for one in found.segments] == [
            (one.speaker, one.start, one.end) for one in sorted(found.turns, key=lambda turn: turn.start)
        ]
        assert not found.warnings
    assert whole.duration == 16
    assert (part.duration, 9 <= part.turns[0].start < 10) == (12, True)
    assert all(turn.end <= 12.1 for turn in part.turns)


async def test_speakers_alone_need_the_nets(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=3)
    with pytest.raises(PermanentError, match="not installed"):
        await do(prepare, TaskKind.PREPARE, options=JobOptions(diarize_only=True))


@pytest.mark.parametrize("end", [3.5, None])
async def test_a_part_has_the_times_of_the_whole_file(
    do: Do, blobs: BlobStore, model: Model, tmp_path: Path, end: float | None
) -> None:
    """With one chunk, and with several."""
    await _upload(blobs, tmp_path, seconds=9)
    options = JobOptions(start=1.5, end=end)

    outcome = await _all(do, options=options)

    assert isinstance(outcome, JobDone)
    transcript = await _transcript(blobs, 1)
    assert transcript.duration == (end or 9.0)
    assert all(1.5 <= one.start <= one.end <= transcript.duration for one in transcript.segments)
    assert sum(call.duration_s for call in model.calls()) == pytest.approx(transcript.duration - 1.5, abs=0.01)
    assert transcript.engines[0].start == 1.5
    assert transcript.engines[-1].end == transcript.duration
    denoised = tmp_path / "denoised.flac"
    await blobs.download(blob_keys.denoised(JOB, 1), denoised)
    assert soundfile.info(denoised).duration == pytest.approx(transcript.duration - 1.5, abs=0.001)
    peaks = await _peaks(blobs, 1)
    assert len(peaks.data) == 2 * round(20 * transcript.duration)
    assert not any(peaks.data[: 2 * 30])


async def test_a_start_after_the_end_fails_with_the_length(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=3)
    with pytest.raises(PermanentError, match=r"3\.000 seconds long: `start`, 60 seconds") as failure:
        await do(prepare, TaskKind.PREPARE, options=JobOptions(start=60))
    assert failure.value.code is FailureCode.START_AFTER_END


async def _all(do: Do, **common: object) -> Outcome:
    """Run all stages of a job."""
    outcome = await do(prepare, TaskKind.PREPARE, **common)
    if not isinstance(outcome, Split):
        return outcome
    for ordinal, span in enumerate(outcome.chunks):
        await do(chunk, TaskKind.CHUNK, ordinal=ordinal, input=msgspec.Raw(msgspec.json.encode(span)), **common)
    return await do(finish, TaskKind.FINISH, chunk_count=len(outcome.chunks), **common)


@pytest.mark.parametrize("seconds", [3, 8])
async def test_missing_diarization_is_a_warning(do: Do, blobs: BlobStore, tmp_path: Path, seconds: int) -> None:
    await _upload(blobs, tmp_path, seconds=seconds)
    options = JobOptions(denoise=False, diarize=True)
    outcome = await do(prepare, TaskKind.PREPARE, options=options)
    if isinstance(outcome, Split):
        for ordinal, span in enumerate(outcome.chunks):
            raw = msgspec.Raw(msgspec.json.encode(span))
            await do(chunk, TaskKind.CHUNK, ordinal=ordinal, input=raw, options=options)
        outcome = await do(finish, TaskKind.FINISH, chunk_count=len(outcome.chunks), options=options)

    assert isinstance(outcome, JobDone)
    codes = [warning.code for warning in outcome.warnings]
    assert codes.count(WarningCode.DIARIZATION_UNAVAILABLE) == 1


async def test_a_stage_that_never_ends_is_a_crash(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=3)
    options = JobOptions(denoise=False, prompt="HANG")
    with pytest.raises(ChildCrashError, match="took longer than 2 s"):  # 0.5 s, plus 3 s and context at ten-fold speed
        await do(prepare, TaskKind.PREPARE, timeout_s=0.5, options=options)


async def _stored_bytes(blobs: BlobStore, prefix: str) -> int:
    return sum([blob.size async for page in blobs.walk(prefix) for blob in page])


async def test_a_small_file_that_decodes_to_very_much_is_refused_within_its_budget(
    do: Do, blobs: BlobStore, tmp_path: Path
) -> None:
    path = tmp_path / "repeating.mov"
    assert repeating_mov(path, repeats=5000) > 1000 * path.stat().st_size
    await blobs.put(blob_keys.source(JOB), path)

    with pytest.raises(AudioError) as failure:
        await do(prepare, TaskKind.PREPARE)

    assert failure.value.code is FailureCode.TOO_MUCH_AUDIO
    assert await _stored_bytes(blobs, blob_keys.derived(JOB, 1)) <= 64 << 20


async def test_the_denoised_audio_of_all_chunks_has_one_budget(do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=8)
    options = JobOptions(denoise=True)
    split = await do(prepare, TaskKind.PREPARE, options=options)
    assert isinstance(split, Split)
    spent = await _stored_bytes(blobs, blob_keys.derived(JOB, 1))
    tasks = [{"ordinal": n, "input": msgspec.Raw(msgspec.json.encode(one))} for n, one in enumerate(split.chunks)]
    await do(chunk, TaskKind.CHUNK, options=options, **tasks[0])
    one = await _stored_bytes(blobs, blob_keys.derived(JOB, 1)) - spent
    limits = {"derived_most_bytes": spent + one * 3 // 2, "derived_least_bytes": 1}

    await do(chunk, TaskKind.CHUNK, options=options, limits=limits, source_bytes=1 << 20, **tasks[0])  # again
    with pytest.raises(AudioError) as failure:
        await do(chunk, TaskKind.CHUNK, options=options, limits=limits, source_bytes=1 << 20, **tasks[1])

    assert failure.value.code is FailureCode.TOO_MUCH_AUDIO


@pytest.mark.parametrize("seconds", [1, 8])
async def test_no_stage_writes_to_the_reserve(seconds: int, do: Do, blobs: BlobStore, tmp_path: Path) -> None:
    await _upload(blobs, tmp_path, seconds=seconds)

    with pytest.raises(TransientError) as failure:
        await do(prepare, TaskKind.PREPARE, limits={"min_free_bytes": MORE_THAN_ANY_DISK})

    assert failure.value.code is FailureCode.STORAGE_FULL
    assert await _stored_bytes(blobs, blob_keys.derived(JOB, 1)) == 0
