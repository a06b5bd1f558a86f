"""The known voices of a job: those of the tenant, and those of samples that its options name."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from uuid import UUID

from processor_service.diarization.known_voices import KnownVoice
from processor_service.diarization.weights import find_weights
from processor_service.stages.voice_samples import Sampler, require_enough
from processor_service.stages.voice_store import SampleError, StoredVoice, VoiceStore, known_voice
from processor_service.stages.work import Work
from shared.schemas.known_speakers import KnownSpeaker
from shared.schemas.options import JobOptions
from shared.schemas.transcript import ResultWarning, WarningCode

NO_VOICES = "This service keeps no voices."
Skipped = list[ResultWarning]


async def known_voices(work: Work) -> tuple[tuple[KnownVoice, ...], tuple[ResultWarning, ...]]:
    """Return the voices to find among the speakers, and a warning for each that cannot be compared."""
    options = work.task.options
    if not (options.known_speakers or options.voices) or work.voices is None:
        return (), ()
    skipped: Skipped = []
    known = [
        *await _of_tenant(work, work.voices, options, skipped),
        *await _of_samples(work, work.voices, options.known_speakers, skipped),
    ]
    return tuple(known), tuple(skipped)


def why_not_compared(options: JobOptions) -> tuple[ResultWarning, ...]:
    """Return a warning for each known speaker of a file in which each channel is a speaker."""
    reason = "With `channels=separate`, voices are not compared: each channel is a speaker."
    return tuple(_skipped(one.name, reason) for one in options.known_speakers)


async def _of_tenant(work: Work, store: VoiceStore, options: JobOptions, skipped: Skipped) -> list[KnownVoice]:
    wanted = [(one.name, one.voice) for one in options.known_speakers if one.voice is not None]
    if not wanted and not options.voices:
        return []
    if not work.settings.voices:
        skipped += [_skipped(name, NO_VOICES) for name in ([name for name, _ in wanted] or ["`voices`"])]
        return []
    stored = {voice.id: voice for voice in await store.voices([id_ for _, id_ in wanted], all_=options.voices)}
    known = [KnownVoice(name=one.name, embedding=one.embedding) for one in stored.values() if one.embedding]
    return [*(known if options.voices else ()), *_named(wanted, stored, skipped)]


def _named(
    wanted: Sequence[tuple[str, UUID]], stored: dict[UUID, StoredVoice], skipped: Skipped
) -> Iterator[KnownVoice]:
    for name, id_ in wanted:
        try:
            yield known_voice(name, stored.get(id_))
        except SampleError as error:
            skipped.append(_skipped(name, str(error)))


async def _of_samples(
    work: Work, store: VoiceStore, speakers: Sequence[KnownSpeaker], skipped: Skipped
) -> list[KnownVoice]:
    """Read each source once, whatever the number of its samples."""
    weights = find_weights(work.models.folder)
    samples = sorted((one for one in speakers if one.voice is None), key=_source)
    if weights is None or not samples:
        return []
    sampler = Sampler(slot=work.slot, blobs=work.blobs, settings=work.settings, weights=weights, scratch=work.scratch)
    known = []
    for _, group in groupby(samples, key=_source):
        of_source = list(group)
        try:
            embedded = await sampler.embed(await store.source_of(of_source[0]), of_source)
        except SampleError as error:
            skipped += [_skipped(one.name, str(error)) for one in of_source]
            continue
        for one, sample in zip(of_source, embedded, strict=True):
            try:
                known.append(KnownVoice(name=one.name, embedding=require_enough(sample)))
            except SampleError as error:
                skipped.append(_skipped(one.name, str(error)))
    return known


def _source(sample: KnownSpeaker) -> str:
    return f"{sample.job_id} {sample.upload_id}"


def _skipped(name: str, reason: str) -> ResultWarning:
    message = f"The known speaker {name} was not compared. {reason}"
    return ResultWarning(code=WarningCode.KNOWN_SPEAKER_SKIPPED, message=message)
