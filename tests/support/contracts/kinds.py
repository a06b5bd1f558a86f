"""Every kind of bytes that one process writes and another reads, perhaps a process of another version.

Each kind has the type that readers decode, and examples that this version writes. No field of an example has its
default.
"""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from ingest_service.auth.api_keys import ApiKeyList, ApiKeyView, CreatedApiKey, NewApiKey
from ingest_service.auth.caller import Scope
from ingest_service.auth.sessions import SessionLimits, SessionView
from ingest_service.jobs.bulk import BulkAction, BulkRequest
from ingest_service.jobs.filters import JobFilter
from ingest_service.jobs.webhook_endpoints import EndpointChange, NewEndpoint
from ingest_service.jobs.webhook_tests import NewWebhookTest
from ingest_service.jobs.work import ChunkSpan
from ingest_service.readiness import Processors, Readiness
from processor_service.audio.peaks import peaks_json
from processor_service.diarization.voices import Pieces, VoicePiece, Voices
from processor_service.maintenance.dead_letters import Projected
from processor_service.maintenance.failed_chunks import KeptChunks
from processor_service.models.cache import Receipt
from processor_service.summaries.map_reduce import Progress
from processor_service.summaries.read_answer import Answer
from processor_service.tasks.outcomes import ChunkInput
from shared.queue.dispatch import Dispatch, arq_payload
from shared.schemas import api, dead_letters, queue_view, summary, transcript, transcript_edits, webhook_attempts
from shared.schemas.audio_tracks import AudioTrack
from shared.schemas.failures import DeadLetter, Failure, FailureCode, StoredFailure
from shared.schemas.key_terms import Vocabulary
from shared.schemas.known_speakers import KnownSpeaker, NewKnownSpeaker, NewVoice, VoiceSample
from shared.schemas.options import JobOptions, SubmitOptions
from shared.schemas.peaks import Peaks
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from shared.schemas.summary import SummaryInput
from shared.schemas.transcript import ResultWarning, Transcript, WarningCode
from shared.schemas.webhook_events import DeliveryInput, EventType, WebhookEvent, event_body, event_id, webhook_id
from shared.schemas.webhooks import JobWebhook
from shared.schemas.windows import Window, WindowSegment
from shared.secret import Secret, decode_secret, encode_secret
from shared.telemetry.samples import Sample

JOB_ID = UUID("01990000-0000-7000-8000-000000000001")
TASK_ID = UUID("01990000-0000-7000-8000-000000000002")
AT = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(seconds=1.5)

json = partial(msgspec.json.encode, enc_hook=encode_secret)
msgpack = msgspec.msgpack.encode


class ArqJob(msgspec.Struct):
    """The fields of `arq:job:…` that arq reads."""

    t: None
    f: str
    a: tuple[str, int]
    k: dict[str, Any]
    et: int


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of bytes. `written` holds examples. `read_as` may have fewer fields than `written_as`."""

    read_as: Any
    written_as: Any
    written: tuple[bytes, ...]
    is_msgpack: bool = False
    from_clients: bool = False  # only clients write it, so unknown fields may be rejected

    def read(self, data: bytes, read_as: Any = None) -> Any:
        decode = msgspec.msgpack.decode if self.is_msgpack else msgspec.json.decode
        return decode(data, type=read_as or self.read_as, dec_hook=decode_secret)


def _kind(*values: Any, read_as: Any = None, write: Callable[[Any], bytes] = json, **more: bool) -> Kind:
    written_as = read_as if isinstance(values[0], tuple) else type(values[0])
    written = tuple(map(write, values))
    is_msgpack = write is msgpack
    return Kind(read_as=read_as or written_as, written_as=written_as, written=written, is_msgpack=is_msgpack, **more)


OPTIONS = JobOptions(
    language="de",
    languages="de,fr",
    task="translate",
    model="small",
    denoise=False,
    transcribe_from="original",
    word_timestamps=False,
    diarize=True,
    min_speakers=2,
    max_speakers=3,
    channels="separate",
    track=1,
    prompt="Grüße, Zoë",
    summary=True,
    chapters=True,
    action_items=True,
    summary_language="fr",
    searchable=True,
    redact="card,name",
    redact_audio="tone",
    redact_keep_original=True,
    profanity="mask",
    detect_language_only=True,
    results_formats="json,srt",
    audio_headers="authorization",
)
PART = JobOptions(denoise=False, start=60.5, end=120.0, diarize=True, diarize_only=True)
UNSURE = JobOptions(language_confidence=0.5)
KNOWN = JobOptions(text="Grüße an alle.")
WEBHOOKS = (
    JobWebhook(
        url="https://example.com/hook?b=2",
        events=(EventType.FAILED,),
        contents="transcript",
        secret=Secret("whsec_" + "bWF5IGJlIGtub3duOiBvZiBhIHRlc3Qu"),
    ),
)
COUNTED = JobOptions(diarize=True, num_speakers=2)
NAMED = JobOptions(
    diarize=True,
    speaker_names={"SPEAKER_00": "Zoë"},
    known_speakers=(
        KnownSpeaker(name="Zoë", job_id=JOB_ID, times=((0.5, 4.5),)),
        KnownSpeaker(name="Ann", upload_id=TASK_ID),
        KnownSpeaker(name="Ben", voice=TASK_ID),
    ),
    voices=True,
)
TERMS = JobOptions(keyterms=("Zoë", "head race"), replacements={"zoe": "Zoë"}, vocabulary=False)
VOCABULARY = Vocabulary(keyterms=("Zoë",), replacements={"zoe": "Zoë"})
DENOISED = JobOptions(transcribe_from="denoised", stream_windows=True)
SUBMITTED = SubmitOptions(
    **msgspec.structs.asdict(OPTIONS),
    queue="gpu",
    webhook_url="https://example.com/hook?a=1",
    webhook_secret=Secret("whsec_" + "bWF5IGJlIGtub3duOiBvZiBhIHRlc3Qu"),
    results_to=Secret("s3://out/acme/"),
    webhooks=WEBHOOKS,
    metadata={"call": 4711, "by": ["Zoë", None, 1.5]},
)
WARNINGS = tuple(ResultWarning(code=code, message="Why.", start=1.0, end=2.5) for code in WarningCode)
CHAPTERS = (summary.Chapter(start=0.5, end=2.0, title="Gruß", summary="Zoë grüßt."),)
ITEMS = (summary.ActionItem(text="Antworten.", start=0.5, owner="Zoë"),)
TRANSCRIPT = Transcript(
    text="Grüße an alle",
    language="de",
    language_probability=0.875,
    duration=12.5,
    segments=(
        transcript.Segment(
            id=1,
            start=0.5,
            end=2.0,
            text="Grüße",
            speaker="SPEAKER_00",
            channel=1,
            confidence=0.5,
            no_speech_prob=0.125,
            language="de",
            language_probability=0.75,
            words=(transcript.Word(word="Grüße", start=0.5, end=1.0, confidence=0.5, speaker="SPEAKER_00"),),
        ),
    ),
    speakers=("SPEAKER_00",),
    turns=(transcript.Turn(speaker="SPEAKER_00", start=0.5, end=2.0),),
    warnings=WARNINGS,
    engine="scripted",
    model="scripted",
    engines=(transcript.EngineUse(engine="groq", model="whisper-large-v3", start=0.0, end=12.5),),
    transcribed_from="denoised",
    summary="Ein Gruß.",
    chapters=CHAPTERS,
    action_items=ITEMS,
    summarized_by=summary.SummaryUse(
        provider="acme", model="chat-9", requests=2, prompt_tokens=100, completion_tokens=20
    ),
    named_speakers=(transcript.NamedSpeaker(label="SPEAKER_00", name="Zoë", similarity=0.75),),
    speaker_statistics=(
        transcript.SpeakerStatistics(
            speaker="SPEAKER_00",
            talk_time=1.5,
            share=0.5,
            turns=1,
            longest_turn=1.5,
            overlap=0.25,
            words=1,
            words_per_minute=40.5,
        ),
    ),
    language_candidates=(transcript.LanguageCandidate(language="de", probability=0.875),),
)
EDITS = transcript_edits.TranscriptEdits(
    speakers={"SPEAKER_00": "Zoë"},
    words=(transcript_edits.WordEdit(segment=1, word=2, text="Grüße an", was="Grüsse", at=3),),
    segments=(transcript_edits.SegmentEdit(segment=1, speaker="Zoë", text="Grüße", was="Grüsse", start=0.5),),
)
EDIT_VERSION: dict[str, Any] = {
    "version": 2,
    "created_at": AT,
    "author": "0123456789abcdef",
    "changes": 4,
    "outdated": True,
}
TRACK = AudioTrack(number=0, codec="aac", language="eng", title="Main", channels=2, duration=12.5, transcribed=True)
CHUNK = ChunkInput(
    file_start_frame=1,
    core_start_frame=2,
    core_end_frame=3,
    sample_rate_hz=44100,
    channels=2,
    starts_in_speech=True,
    ends_in_speech=True,
)
JOB_VIEW = api.JobView(
    job_id=str(JOB_ID),
    filename="Größe 1.wav",
    status=JobStatus.FAILED,
    stage=Stage.TRANSCRIBE,
    progress=0.5,
    created_at=AT,
    started_at=AT,
    completed_at=LATER,
    queue_position=3,
    estimated_wait_s=4.5,
    audio=api.AudioFacts(
        duration=12.5, sample_rate=44100, channels=2, format="mp3", bytes=4, sha256="ab", tracks=(TRACK,)
    ),
    attempts=2,
    next_attempt_at=LATER,
    warnings=WARNINGS,
    error=api.ProblemInJob(code="timeout", message="Why."),
    options={"language": "de", "denoise": False},
    metadata={"a": [1]},
    links=api.Links.of(JOB_ID),
    speakers=2,
    results=(
        api.ResultWrite(
            format="srt", to="s3://out", status="failed", attempts=4, error="The bucket did not.", ended_at=LATER
        ),
    ),
)
JOB_FILTER = JobFilter(
    status=(JobStatus.FAILED,),
    created_after=AT,
    created_before=LATER,
    filename="a",
    metadata_key="k",
    metadata_value="v",
    min_speakers=1,
    max_speakers=2,
    warning="quiet",
    code="timeout",
    job_ids=(JOB_ID,),
)
DEAD_LETTER = DeadLetter(
    job_id=str(JOB_ID),
    generation=2,
    task_kind="chunk",
    ordinal=3,
    code="poison",
    message="Why.",
    traceback="Traceback",
    attempts=4,
    first_failed_at=AT,
    last_failed_at=LATER,
    tenant="default",
    options={"language": "de"},
)
ATTEMPT = webhook_attempts.WebhookAttempt(
    event_id=event_id(JOB_ID, 1, EventType.COMPLETED),
    type="job.completed",
    attempted_at=AT,
    duration_ms=15,
    status=500,
    error="broke",
    answer="no",
    next_attempt_at=LATER,
    host="example.com",
    endpoint_id=str(TASK_ID),
)
# A key has `observe` only if it was made with it, after the upgrade: older versions do not know the scope.
OLD_SCOPES: list[Scope] = [scope for scope in Scope if scope is not Scope.OBSERVE]
KEY: dict[str, Any] = {
    "key_id": "k1",
    "purpose": "upload",
    "scopes": OLD_SCOPES,
    "created_at": AT,
    "expires_at": LATER,
    "revoked_at": LATER,
    "operates": True,
}


# Structs of `shared` that never leave their process.
INTERNAL = {
    "SentWebhook": "read from a client; stored as JobWebhook",
    "Answers": "collected from several Redis",
    "Backlog": "read from the database and counted",
    "CommonSettings": "decoded from the environment",
    "Cue": "made and rendered",
    "CueSize": "part of an order for a render",
    "Dispatch": "only its id and its arq payload leave the process; both are in KINDS",
    "Family": "sent as text",
    "InventoryFile": "written by the bucket's service",
    "Manifest": "written by the bucket's service",
    "Paragraph": "only rendered",
    "Part": "computed from two options",
    "QueuedWork": "read from the database and counted",
    "QueuePosition": "shown as two fields of a job",
    "Recording": "part of an order for a render",
    "RedisAddress": "parsed from a URL",
    "Sentence": "only rendered",
    "Series": "sent as text",
    "Style": "part of an order for a render",
    "DataOfTest": "only sent to an endpoint",
    "EventOfTest": "only sent to an endpoint",
    "Span": "sent in the OpenTelemetry format",
}


def _body(status: JobStatus) -> str:
    error = api.ProblemInJob(code="timeout", message="Why.")
    return event_body(JOB_ID, status, ended_at=AT, metadata_json='{"a": [1]}', error=error, made=("summary",))


KINDS: dict[str, Kind] = {
    "redis arq:job:*": Kind(
        read_as=ArqJob,
        written_as=ArqJob,
        written=(arq_payload(Dispatch(TASK_ID, 3, TaskKind.CHUNK), enqueued_at_ms=1_767_323_045_000),),
        is_msgpack=True,
    ),
    "redis headrace:dead-letters": _kind(DEAD_LETTER),
    "blob_scans.kept": _kind([KeptChunks(JOB_ID, AT, 5)], read_as=list[KeptChunks]),
    "redis headrace:dead-letters:projected": _kind(Projected(length=3, fingerprint="ab")),
    "redis headrace:samples:*, uncompressed": _kind(Sample(1.5, {'a{b="c"}': 2.5}), write=msgpack),
    "redis headrace:windows:*": _kind(
        Window(chunk=1, number=2, segments=(WindowSegment(start=0.5, end=2.0, text="Grüße"),), is_last=True),
        write=msgpack,
    ),
    "row jobs.options": _kind(OPTIONS, DENOISED, COUNTED, TERMS, NAMED, PART, UNSURE, KNOWN),
    "row vocabularies.content": _kind(VOCABULARY),
    "row jobs.warnings": _kind(WARNINGS, read_as=tuple[ResultWarning, ...]),
    "row tasks.input of a chunk": _kind(CHUNK),
    "row tasks.input of a chunk, for clients": _kind(CHUNK, read_as=ChunkSpan),
    "row tasks.input of a delivery": _kind(
        DeliveryInput(event_id(JOB_ID, 1, EventType.COMPLETED)),
        DeliveryInput(webhook_id(event_id(JOB_ID, 1, EventType.COMPLETED), "w0")),
    ),
    "row jobs.webhooks": _kind(WEBHOOKS, read_as=tuple[JobWebhook, ...]),
    "row tasks.input of a summary": _kind(SummaryInput(speakers=2)),
    "row tasks.failure": _kind(
        *(
            Failure(code=code, message="Why.", traceback="Traceback", transient=True, retry_after_s=1.5)
            for code in FailureCode
        ),
        read_as=StoredFailure,
    ),
    "row transcript_edits.edits": _kind(EDITS),
    "row uploads.options": _kind(
        SUBMITTED,
        SubmitOptions(transcribe_from="denoised", stream_windows=True),
        SubmitOptions(diarize=True, num_speakers=2),
        SubmitOptions(**msgspec.structs.asdict(TERMS)),
        SubmitOptions(**msgspec.structs.asdict(NAMED)),
        SubmitOptions(**msgspec.structs.asdict(PART)),
        SubmitOptions(**msgspec.structs.asdict(UNSURE)),
        SubmitOptions(**msgspec.structs.asdict(KNOWN)),
    ),
    "row voices.sample": _kind(
        VoiceSample(name="Zoë", job_id=JOB_ID, times=((0.5, 4.5),)), VoiceSample(name="Ann", upload_id=TASK_ID)
    ),
    "row webhook_events.body": Kind(
        read_as=WebhookEvent,
        written_as=WebhookEvent,
        written=tuple(_body(JobStatus(end)).encode() for end in ("COMPLETED", "FAILED", "CANCELLED")),
    ),
    "blob transcript.json, chunks/*.json": _kind(TRANSCRIPT),
    "blob summary-progress.json": _kind(
        Progress(
            answers={"ab": Answer(summary="a", chapters=CHAPTERS, action_items=ITEMS)},
            requests=1,
            prompt_tokens=2,
            completion_tokens=3,
            spent_s=1.5,
            provider="acme",
            model="chat-9",
        )
    ),
    "blob peaks.json, peaks-overview.json": Kind(
        read_as=Peaks,
        written_as=Peaks,
        written=(peaks_json(np.array([[-128, 127], [-1, 0]], np.int8), 44_100, 2_205),),
    ),
    "blob chunks/*.voices": _kind(
        Voices(
            pieces=(VoicePiece(0.5, 1.5, is_clear=True),),
            embeddings=bytes(384),
            fine=Pieces(pieces=(VoicePiece(0.5, 1.0, is_clear=True),), embeddings=bytes(384)),
        ),
        write=msgpack,
    ),
    "file model receipt": _kind(Receipt(sha256="ab", source="https://example.com/model.pt")),
    "api 202": _kind(api.JobAccepted(job_id=str(JOB_ID), status=JobStatus.QUEUED, links=api.Links.of(JOB_ID))),
    "api direct upload": _kind(
        api.DirectUpload(
            upload_id=str(JOB_ID), url="https://example.com/a?b", method="PUT", headers={"a": "b"}, expires_at=AT
        )
    ),
    "api job": _kind(JOB_VIEW),
    "api jobs": _kind(api.JobList(jobs=(JOB_VIEW,), next_cursor="n")),
    "api event": _kind(
        api.JobEvent(
            job_id=str(JOB_ID),
            status=JobStatus.PROCESSING,
            stage=Stage.FINISH,
            progress=0.5,
            chunks_done=1,
            chunk_count=2,
        )
    ),
    "api tenant event": _kind(
        api.TenantEvent(
            job_id=str(JOB_ID),
            status=JobStatus.PROCESSING,
            stage=Stage.FINISH,
            progress=0.5,
            chunks_done=1,
            chunk_count=2,
            filename="a.wav",
            created_at=AT,
            erased=True,
        )
    ),
    "api transcript hits": _kind(
        api.TranscriptHits(
            hits=(
                api.TranscriptHit(
                    job_id=str(JOB_ID),
                    filename="Gespräch.mp3",
                    created_at=AT,
                    start=1.5,
                    snippet="Grüße an Zoë",
                    highlights=((0, 5),),
                    rank=0.1,
                ),
            ),
            complete=False,
            next_cursor="20",
        )
    ),
    "api job counts": _kind(api.JobCounts(counts={JobStatus.FAILED: 1}, total=1, complete=False)),
    "api bulk request": _kind(
        BulkRequest(action=BulkAction.REDRIVE, filter=JOB_FILTER, limit=7, cursor="AZkAAAAAcACAAAAAAAAAAQ"),
        from_clients=True,
    ),
    "api bulk result": _kind(
        api.BulkResult(
            matched=2,
            changed=1,
            refused=(api.RefusedJob(job_id=str(JOB_ID), code="job_ended"),),
            more=True,
            next_cursor="n",
        )
    ),
    "api dead letters": _kind(dead_letters.DeadLetterList(dead_letters=(DEAD_LETTER,), next_cursor="n")),
    "api dead letter counts": _kind(
        dead_letters.DeadLetterCounts(
            counts=(
                dead_letters.DeadLettersOfCode(
                    code="timeout",
                    dead_letters=3,
                    jobs=2,
                    tenants=1,
                    oldest_at=AT,
                    newest_at=LATER,
                    last_message="Why.",
                ),
            ),
            total=3,
        )
    ),
    "api discarded": _kind(dead_letters.Discarded(discarded=1)),
    "api redriven": _kind(dead_letters.Redriven(redriven=1)),
    "api webhook attempts": _kind(webhook_attempts.WebhookAttemptList(attempts=(ATTEMPT,))),
    "api work": _kind(
        api.JobWork(
            stages=(api.StageTimes(name=Stage.TRANSCRIBE, started_at=AT, ended_at=LATER),),
            tasks=(
                api.TaskView(
                    kind=TaskKind.CHUNK,
                    chunk_index=1,
                    start_s=1.5,
                    end_s=2.5,
                    state=TaskState.DONE,
                    attempts=2,
                    started_at=AT,
                    ended_at=LATER,
                    engine="groq",
                    model="whisper-large-v3",
                    error=api.ProblemInJob(code="timeout", message="Why."),
                ),
            ),
        )
    ),
    "api webhook log": _kind(
        webhook_attempts.WebhookLog(
            attempts=(
                webhook_attempts.WebhookLogEntry(
                    **msgspec.structs.asdict(ATTEMPT),
                    job_id=str(JOB_ID),
                    body='{"type":"job.failed"}',
                ),
            ),
            next_cursor="n",
        )
    ),
    "api webhook test": _kind(
        webhook_attempts.WebhookTest(
            test_id=str(JOB_ID),
            event_id="evt",
            host="example.com",
            state="failed",
            created_at=AT,
            expires_at=LATER,
            attempted_at=AT,
            duration_ms=12,
            status=500,
            error="Why.",
            answer="Oops",
        )
    ),
    "api voices": _kind(
        api.VoiceList(
            voices=(
                api.Voice(voice_id=str(JOB_ID), name="Zoë", status="failed", created_at=AT, speech_s=3.5, error="Why."),
            )
        )
    ),
    "api new voice": _kind(
        NewVoice(name="Zoë", job_id=JOB_ID, times=((0.5, 4.5),)),
        NewVoice(name="Zoë", upload_id=TASK_ID),
        from_clients=True,
    ),
    "api new known speaker": _kind(
        NewKnownSpeaker(name="Zoë", job_id=JOB_ID, times=((0.5, 4.5),)),
        NewKnownSpeaker(name="Zoë", upload_id=TASK_ID),
        NewKnownSpeaker(name="Zoë", voice=TASK_ID),
        from_clients=True,
    ),
    "api new webhook endpoint": _kind(
        NewEndpoint(
            url="https://example.com/hook",
            events=(EventType.FAILED,),
            contents="transcript",
            enabled=False,
            description="Größe",
        ),
        from_clients=True,
    ),
    "api webhook endpoint change": _kind(
        EndpointChange(
            url="https://example.com/hook",
            events=(EventType.FAILED,),
            contents="transcript",
            enabled=False,
            description="Größe",
        ),
        from_clients=True,
    ),
    "api new webhook test": _kind(NewWebhookTest(url="https://example.com/hook"), from_clients=True),
    "api usage": _kind(
        api.Usage(
            days=(api.DayOfUsage(day=AT.date(), uploads=1, bytes=2, audio_seconds=3.5),),
            quotas=api.QuotasInForce(bytes_a_day=1, audio_seconds_a_day=2, jobs_queued=3, uploads_at_once=4),
        )
    ),
    "api new edits": _kind(
        transcript_edits.NewEdits(
            base_version=1,
            speakers=EDITS.speakers,
            words=(transcript_edits.NewWordEdit(segment=1, word=2, text="Grüße an", was="Grüsse", at=3),),
            segments=(
                transcript_edits.NewSegmentEdit(segment=1, speaker="Zoë", text="Grüße", was="Grüsse", start=0.5),
            ),
        ),
        from_clients=True,
    ),
    "api edit versions": _kind(
        transcript_edits.EditVersionList(latest=2, versions=(transcript_edits.EditVersion(**EDIT_VERSION),))
    ),
    "api edits": _kind(
        transcript_edits.EditVersionView(
            **EDIT_VERSION, speakers=EDITS.speakers, words=EDITS.words, segments=EDITS.segments
        )
    ),
    "api queue": _kind(
        queue_view.QueueView(
            tasks=1,
            running=2,
            audio_seconds=3.5,
            oldest_task_s=4.5,
            slots=queue_view.Slots(busy=2, total=4),
            tenants=(
                queue_view.TenantBacklog(
                    tenant="acme", tasks=1, running=2, audio_seconds=3.5, oldest_task_s=4.5, fair_share=0.5
                ),
            ),
            more_tenants=1,
            last_hour=queue_view.LastHour(
                audio_seconds=1.5,
                real_time_factor=2.5,
                jobs_completed=3,
                jobs_failed=1,
                failure_rate=0.25,
                uploads=4,
                webhooks=queue_view.WebhookOutcomes(delivered=1, refused=2, no_answer=3, blocked=4, unsigned=5),
            ),
        )
    ),
    "api queue history": _kind(queue_view.QueueHistory(step_s=60, from_=AT, series={"uploads": (1.5, None)})),
    "api alerts": _kind(
        queue_view.AlertList(
            alerts=(
                queue_view.Alert(
                    name="A", severity="page", summary="s", runbook="r", labels={"a": "b"}, since=AT, value=1.5
                ),
            ),
            not_evaluated=(queue_view.UnevaluatedAlert(name="B", reason="r"),),
            evaluated_at=AT,
        )
    ),
    "api problem": _kind(api.Problem(type="about:x", title="t", status=400, code="invalid_option", detail="d")),
    "api new key": _kind(NewApiKey(purpose="upload", scopes=OLD_SCOPES, expires_days=5), from_clients=True),
    "api keys": _kind(ApiKeyList(keys=(ApiKeyView(**KEY),))),
    "api session": _kind(
        SessionView(
            tenant="acme",
            scopes=tuple(Scope),
            operates=True,
            auth="session",
            csrf_token="c",  # noqa: S106 - an example
            expires_at=LATER,
            limits=SessionLimits(max_upload_bytes=1, tus_chunk_bytes=2),
        )
    ),
    "api created key": _kind(CreatedApiKey(**KEY, key="shown once")),
    "api readiness": _kind(
        Readiness(ready=False, away=("database",), processors=Processors(status="seen", seen_s_ago=2.1))
    ),
}
