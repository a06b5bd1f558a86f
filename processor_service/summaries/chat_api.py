"""One chat provider, and failover between several. Every request passes the provider's circuit breaker.

Redirects are not followed. No error contains text of the provider or the key.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import msgspec

from processor_service.errors import TaskError
from processor_service.outbound.http_errors import why_broken
from processor_service.providers.breaker import Breaker, Rules
from processor_service.providers.post_audio import CONNECT_S, Answer, NoAnswer, TooLong, open_session, read_whole
from processor_service.providers.read_answer import failure_of_answer, invalid_answer
from processor_service.providers.through_breaker import through_breaker
from processor_service.summaries.ask import Ask, body_of
from processor_service.summaries.chat_settings import ChatProviderSettings
from processor_service.summaries.read_answer import Completion, InvalidAnswerError, read_completion
from shared.telemetry.logs import Log

log = Log(__name__)

MAX_ANSWER_BYTES = 1 << 20  # 2,048 tokens are 8 kB; reasoning adds some
UNSUPPORTED = frozenset({400, 404, 422, 501})  # what providers answer to an unknown `response_format`
WANTED = "answer"


class ChatApi:
    """A provider. One object serves all tasks of a process."""

    def __init__(
        self, settings: ChatProviderSettings, http: aiohttp.ClientSession, breaker: Breaker | None = None
    ) -> None:
        self.settings = settings
        self.breaker = breaker or Breaker(Rules(failures=settings.failures, cool_down_s=settings.cool_down_s))
        self._http = http
        self._at_once = asyncio.Semaphore(settings.at_once)
        self._format: str = settings.format  # `text` after the provider has refused another one, and accepted that

    @property
    def name(self) -> str:
        return self.settings.name

    async def ask(self, ask: Ask, before_request: Callable[[], None]) -> Completion:
        """Return the answer. Raise PermanentError or TransientError. `before_request` is called for each request."""
        async with self._at_once:
            return await through_breaker(self.breaker, self.name, partial(self._completion, ask, before_request))

    async def _completion(self, ask: Ask, before_request: Callable[[], None]) -> Completion:
        before_request()
        answer = await self._post(ask, self._format)
        if isinstance(answer, Answer) and answer.status in UNSUPPORTED and self._format != "text":
            before_request()
            refused, answer = answer.status, await self._post(ask, "text")
            if isinstance(answer, Answer) and answer.status < 300:
                log.warning("response_format_refused", provider=self.name, format=self._format, status=refused)
                self._format = "text"
        failure = failure_of_answer(answer, self.settings, now=dt.datetime.now(dt.UTC), wanted=WANTED)
        if failure is not None or not isinstance(answer, Answer):
            raise failure or TypeError(type(answer))
        return self._read(answer)

    def _read(self, answer: Answer) -> Completion:
        try:
            completion = read_completion(answer.body)
        except InvalidAnswerError as error:
            raise invalid_answer(self.settings, str(error), wanted=WANTED) from error
        key = self.settings.key.reveal()
        if key and key in completion.text:
            raise invalid_answer(self.settings, "it repeats the key", wanted=WANTED)
        return completion

    async def _post(self, ask: Ask, form: str) -> Answer | NoAnswer | TooLong:
        settings = self.settings
        body = body_of(
            ask,
            model=settings.model,
            form=form,
            limit=settings.limit,
            answer_tokens=settings.answer_tokens,
        )
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=CONNECT_S)
        try:
            async with self._http.post(
                settings.address,
                data=msgspec.json.encode(body),
                headers=self._headers(),
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                return await read_whole(response, MAX_ANSWER_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            return NoAnswer(why_broken(error))

    def _headers(self) -> dict[str, str]:
        headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "Headrace/1",
        }
        key = self.settings.key
        return headers | ({"authorization": f"Bearer {key.reveal()}"} if key else {})


@asynccontextmanager
async def open_chats(settings: Sequence[ChatProviderSettings]) -> AsyncIterator[tuple[ChatApi, ...]]:
    """The chat providers of a process, in the order of the settings. Without any, nothing is opened."""
    if not settings:
        yield ()
        return
    async with open_session() as http:
        yield tuple(ChatApi(one, http) for one in settings)


async def ask_in_turn(
    chats: Sequence[ChatApi], ask: Ask, before_request: Callable[[], None]
) -> tuple[ChatApi, Completion]:
    """Return the first provider that answers, and its answer. Raise an error of the last, a transient one if any is."""
    failure: TaskError | None = None
    for chat in chats:
        try:
            return chat, await chat.ask(ask, before_request)
        except TaskError as error:
            log.warning("chat_provider_failed", provider=chat.name, code=error.code, error=error.message)
            failure = error if failure is None or error.transient or not failure.transient else failure
    if failure is None:
        raise ValueError("there is no chat provider")
    raise failure
