"""Transcripts and events in the OpenAPI document, with an example of each format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args
from uuid import UUID

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType

from ingest_service.formats.search import SearchResults
from ingest_service.jobs.views import JobState, event
from ingest_service.openapi.document import ACCESS, EXAMPLE_JOB_ID, ONE_JOB, WRONG_PARAMETER, problems
from shared.formats import paragraphs
from shared.formats.render import render
from shared.formats.style import TextFormat, text_type
from shared.schemas.api import JobCounts, JobEvent, TenantEvent
from shared.schemas.peaks import Peaks
from shared.schemas.states import JobStatus, Stage
from shared.schemas.transcript import Transcript
from shared.subtitles.cue_size import CueSize

_STATE = JobState(
    generation=1,
    status=JobStatus.PROCESSING,
    stage=Stage.TRANSCRIBE,
    progress=0.454,
    chunk_count=6,
    chunks_done=2,
    is_erased=False,
)
_EXAMPLE = event(UUID(EXAMPLE_JOB_ID), _STATE).decode()

EVENTS: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        str | JobEvent,  # type: ignore[arg-type] # a union has a schema, too
        generate_examples=False,
        description="A stream of unnamed events, each with an `id`; their `data` is a JobEvent as JSON",
        media_type="text/event-stream",
        examples=[Example(id="chunks", summary="Two of six chunks are done", value=_EXAMPLE)],
    ),
    204: ResponseSpec(
        None, generate_examples=False, description="The job has ended, and the client has received its last state"
    ),
    **ONE_JOB,
}


TENANT_EVENTS: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        str | TenantEvent | JobCounts,  # type: ignore[arg-type] # a union has a schema, too
        generate_examples=False,
        description="A stream of unnamed events, whose `data` is a TenantEvent, and of events `counts` and `reload`",
        media_type="text/event-stream",
    ),
    **ACCESS,
    **problems("too_many_streams", "rate_limited", "database_unavailable"),
}


_EXAMPLE_TRANSCRIPT = {
    "text": "Ask not what your country can do for you.",
    "language": "en",
    "duration": 2.9,
    "segments": [
        {
            "id": 0,
            "start": 0.2,
            "end": 2.7,
            "text": "Ask not what your country can do for you.",
            "speaker": "SPEAKER_00",
            "channel": None,
            "confidence": 0.93,
            "no_speech_prob": 0.01,
            "words": [{"word": "Ask", "start": 0.2, "end": 0.5, "confidence": 0.97}],
        }
    ],
    "speakers": ["SPEAKER_00"],
    "turns": [{"speaker": "SPEAKER_00", "start": 0.2, "end": 2.7}],
    "warnings": [],
    "summary": "A call to ask what one can do for the country.",
    "chapters": [{"start": 0.2, "end": 2.7, "title": "The call", "summary": ""}],
}
TRANSCRIPT: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        paragraphs.Transcript,
        generate_examples=False,
        description="The transcript",
        examples=[Example(id="json", value=_EXAMPLE_TRANSCRIPT)],
    ),
    304: ResponseSpec(None, generate_examples=False, description="The client has this text, by its `If-None-Match`"),
    **problems("rate_limited", "too_many_renders"),
    **problems("precondition_failed"),
}
_EXAMPLE_PEAKS = {
    "version": 2,
    "channels": 1,
    "sample_rate": 16000,
    "samples_per_pixel": 800,
    "bits": 8,
    "length": 3,
    "data": [-1, 1, -64, 71, -12, 9],
}
PEAKS: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        Peaks, generate_examples=False, description="The peaks", examples=[Example(id="peaks", value=_EXAMPLE_PEAKS)]
    ),
    304: ResponseSpec(None, generate_examples=False, description="The client has these peaks, by its `If-None-Match`"),
    **WRONG_PARAMETER,
    **problems("database_unavailable", "storage_unavailable"),
    **problems("not_found", "no_peaks"),
    **problems("not_ready", "job_failed", "job_cancelled"),
    **problems("job_erased"),
    **problems("precondition_failed"),
}
TEXT: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        str, generate_examples=False, description="The transcript in the requested format", media_type="text/plain"
    ),
    304: ResponseSpec(None, generate_examples=False, description="The client has this text, by its `If-None-Match`"),
    **problems("rate_limited", "too_many_renders"),
    **problems("precondition_failed"),
}


OF_JSON = frozenset({"edits", "paragraphs", "normalize"})  # parameters


@dataclass
class OnlyJson(Operation):
    """Leave out the parameters of text formats, which another route describes."""

    def __post_init__(self) -> None:
        self.parameters = [
            one
            for one in self.parameters or ()
            if getattr(one, "param_in", "") != "query" or getattr(one, "name", "") in OF_JSON
        ]


_EXAMPLE_HITS = {
    "hits": [
        {
            "start": 0.2,
            "end": 0.9,
            "segment": 0,
            "last_segment": 0,
            "words": [0, 1],
            "text": "Ask not",
            "before": "",
            "after": "what your country can do for you.",
            "speaker": "SPEAKER_00",
        }
    ],
    "count": 1,
    "next_cursor": None,
}
FOUND: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        SearchResults,
        generate_examples=False,
        description="The hits by time",
        examples=[Example(id="hits", value=_EXAMPLE_HITS)],
    ),
    304: ResponseSpec(None, generate_examples=False, description="The client has these hits, by its `If-None-Match`"),
    **problems("rate_limited", "too_many_renders"),
    **problems("precondition_failed"),
}


@dataclass
class PhraseIsRequired(Operation):
    """Describe `q` as required. The route refuses a request without it in a sentence; the framework would not."""

    def __post_init__(self) -> None:
        for one in self.parameters or ():
            if getattr(one, "name", "") == "q":
                one.required = True  # type: ignore[union-attr] # references have no name
                one.schema.default, one.schema.min_length = None, 1  # type: ignore[union-attr] # as above


@dataclass
class TextFormats(Operation):
    """Describe each format by an example: the framework describes one media type only."""

    def __post_init__(self) -> None:
        response = (self.responses or {}).get("200")
        if isinstance(response, OpenAPIResponse):
            response.content = _text_formats()


def _text_formats() -> dict[str, OpenAPIMediaType]:
    """Return the text formats by media type. Most formats share text/plain."""
    transcript = msgspec.convert(_EXAMPLE_TRANSCRIPT, Transcript)
    described: dict[str, OpenAPIMediaType] = {}
    for name in get_args(TextFormat):
        text = render(transcript, name, size=CueSize(), job_id=EXAMPLE_JOB_ID)
        kind = text_type(name).partition(";")[0]
        same = described.setdefault(kind, OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING), examples={}))
        same.examples = {**(same.examples or {}), name: Example(summary=f"`format={name}`", value=text)}
    return described
