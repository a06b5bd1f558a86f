"""A remote engine: one provider with OpenAI's audio API. Each piece of audio is one request.

Every request passes the provider's circuit breaker and reports its result to it.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import aiohttp

from processor_service.providers.breaker import Breaker, Rules
from processor_service.providers.place_answer import transcript_of
from processor_service.providers.plan_pieces import Piece, length_s
from processor_service.providers.post_audio import Answer, post_audio
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.providers.read_answer import (
    InvalidAnswerError,
    ProviderTranscript,
    failure_of_answer,
    invalid_answer,
    read_answer,
)
from processor_service.providers.through_breaker import through_breaker
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


class OpenAIApi:
    """A provider. One object serves all tasks of a process."""

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
        """Return a transcript of each piece, with times in the chunk. Raise PermanentError or TransientError."""
        transcripts = []
        for done, piece in enumerate(pieces, start=1):
            answer = await through_breaker(self.breaker, self.name, partial(self._request, piece, options))
            transcripts.append(transcript_of(answer, piece.spans, options))
            on_progress(done / len(pieces))
        return transcripts

    async def _request(self, piece: Piece, options: JobOptions) -> ProviderTranscript:
        answer = await post_audio(self._http, self.settings, Path(piece.path), options)
        failure = failure_of_answer(answer, self.settings, now=dt.datetime.now(dt.UTC))
        if failure is not None or not isinstance(answer, Answer):
            raise failure or TypeError(type(answer))
        try:
            return read_answer(answer.body, duration_s=length_s(piece.spans))
        except InvalidAnswerError as error:
            raise invalid_answer(self.settings, str(error)) from error
