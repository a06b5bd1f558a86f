"""The remote engine: one provider that speaks OpenAI's `/audio/transcriptions`, asked piece by piece.

Every request passes the provider's circuit breaker, and tells it how it went.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from processor_service.errors import TaskError, TransientError
from processor_service.providers.breaker import Breaker, Call, RestingError, Rules
from processor_service.providers.place_answer import transcript_of
from processor_service.providers.plan_pieces import Piece, length_s
from processor_service.providers.post_audio import Answer, post_audio
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.providers.read_answer import (
    Heard,
    NotATranscriptError,
    failure_of_answer,
    is_providers_trouble,
    not_a_transcript,
    read_answer,
)
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


class OpenAIApi:
    """A provider, for all tasks of a process."""

    def __init__(self, settings: ProviderSettings, http: aiohttp.ClientSession, breaker: Breaker | None = None) -> None:
        self.settings = settings
        self.breaker = breaker or Breaker(Rules(failures=settings.failures, cool_down_s=settings.cool_down_s))
        self._http = http

    @property
    def name(self) -> str:
        return self.settings.name

    async def transcribe(
        self, pieces: Sequence[Piece], options: JobOptions, on_progress: Callable[[float], None]
    ) -> list[Transcript]:
        """A transcript of each piece, in the time of the chunk; raises PermanentError or TransientError."""
        transcripts = []
        for done, piece in enumerate(pieces, start=1):
            transcripts.append(transcript_of(await self._hear(piece, options), piece.spans, options))
            on_progress(done / len(pieces))
        return transcripts

    async def _hear(self, piece: Piece, options: JobOptions) -> Heard:
        try:
            with self.breaker.call() as call:
                return await self._call(call, piece, options)
        except RestingError as resting:
            message = f"The provider {self.name} failed lately and is left alone for a while."
            # No time to wait for: another request is finding out, and the usual schedule will do.
            wait_s = resting.wait_s or None
            raise TransientError(FailureCode.PROVIDER_UNAVAILABLE, message, retry_after_s=wait_s) from None

    async def _call(self, call: Call, piece: Piece, options: JobOptions) -> Heard:
        try:
            heard = await self._request(piece, options)
        except TaskError as error:
            if is_providers_trouble(error):
                call.failed(asked_rest_s=error.retry_after_s)
            else:
                call.succeeded()
            raise
        call.succeeded()
        return heard

    async def _request(self, piece: Piece, options: JobOptions) -> Heard:
        answer = await post_audio(self._http, self.settings, Path(piece.path), options)
        failure = failure_of_answer(answer, self.settings, now=dt.datetime.now(dt.UTC))
        if failure is not None or not isinstance(answer, Answer):
            raise failure or TypeError(type(answer))
        try:
            return read_answer(answer.body, duration_s=length_s(piece.spans))
        except NotATranscriptError as error:
            raise not_a_transcript(self.settings, str(error)) from error
