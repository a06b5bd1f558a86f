"""Summarize a transcript of any length: parts that fit a request get notes, and the notes are summarized in turn.

Answers are kept in a `Progress`, so that another attempt asks only for what is missing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

import msgspec

from processor_service.errors import PermanentError, TaskError, TransientError
from processor_service.summaries.ask import Ask, Field
from processor_service.summaries.chat_api import ChatApi, ask_in_turn
from processor_service.summaries.numbered_lines import Line, harmless, parts_of
from processor_service.summaries.read_answer import Answer, Completion, read_answer
from processor_service.telemetry.metrics import count_summary_request
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.summary import SUMMARY_OPTIONS, ActionItem, SummaryUse

MOST_LEVELS = 4
PART_CHAPTERS = 8  # of a part of a long transcript: notes are much shorter than what they are about
MOST_CHAPTERS = 30
MOST_ITEMS = 200  # of a job


class Progress(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What providers have answered so far, by question, and what it cost. Stored between attempts."""

    answers: dict[str, Answer] = {}
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    spent_s: float = 0.0
    provider: str = ""  # that answered last
    model: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The answer about the whole transcript, and which requested fields it lacks."""

    answer: Answer
    lacking: tuple[Field, ...]


class MapReduce:
    """Summarizes one transcript. `save` stores the progress after each answer."""

    def __init__(
        self,
        chats: Sequence[ChatApi],
        options: JobOptions,
        progress: Progress,
        save: Callable[[], Awaitable[None]],
        *,
        most_requests: int,
    ) -> None:
        self._chats = chats
        self._language = options.summary_language
        self._wanted: tuple[Field, ...] = tuple(one for one in SUMMARY_OPTIONS if getattr(options, one))  # type: ignore[misc] # the names of fields
        self._progress = progress
        self._save = save
        self._saving = asyncio.Lock()
        self._most_requests = most_requests
        self._most_tokens = min(chat.settings.text_tokens for chat in chats)

    async def summarize(self, lines: Sequence[Line]) -> Result:
        """Return what the providers make of the lines. Raise TaskError."""
        items: Answer | None = None
        are_notes = False
        wanted = self._wanted
        for _ in range(MOST_LEVELS):
            parts = parts_of(lines, self._most_tokens)
            if len(parts) == 1:
                return await self._whole(lines, wanted, items, are_notes=are_notes)
            answers = await self._map(parts, wanted, are_notes=are_notes)
            if "action_items" in wanted:
                items = _joined_items(answers)
                wanted = tuple(one for one in wanted if one != "action_items")
            if not wanted:
                return self._result(items or Answer())
            lines, are_notes = _notes(parts, answers), True
        raise PermanentError(FailureCode.PROVIDER_REFUSED, "The text is too long for the context of the model.")

    async def _whole(
        self, lines: Sequence[Line], wanted: tuple[Field, ...], items: Answer | None, *, are_notes: bool
    ) -> Result:
        ask = Ask(lines, wanted, self._language, MOST_CHAPTERS, are_notes)
        answer = await self._answer(ask)
        return self._result(msgspec.structs.replace(answer, action_items=items.action_items) if items else answer)

    def _result(self, answer: Answer) -> Result:
        return Result(answer=answer, lacking=answer.lacks(self._wanted))

    async def _map(
        self, parts: Sequence[Sequence[Line]], wanted: tuple[Field, ...], *, are_notes: bool
    ) -> list[Answer]:
        """Return notes on each part, as chapters. Raise TaskError; the answers so far are saved."""
        if len(parts) >= self._most_requests:
            raise self._too_many()
        fields: tuple[Field, ...] = ("chapters",) if {"summary", "chapters"}.intersection(wanted) else ()
        fields += ("action_items",) if "action_items" in wanted else ()
        asks = [Ask(part, fields, self._language, PART_CHAPTERS, are_notes) for part in parts]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._answer(ask)) for ask in asks]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        answers = [task.result() for task in tasks]
        if "chapters" in fields and any(one.chapters is None for one in answers):
            message = "The providers sent no valid notes on a part of the text."
            raise TransientError(FailureCode.PROVIDER_ANSWER, message)
        return answers

    async def _answer(self, ask: Ask) -> Answer:
        """Ask, and ask once more for what was not valid."""
        key = _key(ask)
        if known := self._progress.answers.get(key):
            return known
        answer = await self._request(ask)
        if lacking := answer.lacks(ask.fields):
            more = await self._request(ask._replace(fields=lacking, is_repeated=True))
            found = {field: getattr(more, field) for field in lacking}
            answer = msgspec.structs.replace(answer, **found)
        if not answer.lacks(ask.fields):
            self._progress.answers[key] = answer
        await self._saved()
        return answer

    async def _request(self, ask: Ask) -> Answer:
        try:
            chat, completion = await ask_in_turn(self._chats, ask, self._count)
        except TaskError:
            count_summary_request(None)
            await self._saved()
            raise
        self._note(chat, completion)
        return read_answer(completion.text, ask)

    def _count(self) -> None:
        if self._progress.requests >= self._most_requests:
            raise self._too_many()
        self._progress.requests += 1

    def _too_many(self) -> PermanentError:
        message = f"The text needs more than the {self._most_requests} requests that a job may make."
        return PermanentError(FailureCode.PROVIDER_REFUSED, message)

    def _note(self, chat: ChatApi, completion: Completion) -> None:
        count_summary_request(completion.usage)
        progress = self._progress
        progress.prompt_tokens += completion.usage.prompt_tokens
        progress.completion_tokens += completion.usage.completion_tokens
        progress.provider, progress.model = chat.name, chat.settings.model

    async def _saved(self) -> None:
        async with self._saving:
            await self._save()


def use_of(progress: Progress) -> SummaryUse:
    """Return what the answers have cost."""
    return SummaryUse(
        provider=progress.provider,
        model=progress.model,
        requests=progress.requests,
        prompt_tokens=progress.prompt_tokens,
        completion_tokens=progress.completion_tokens,
    )


def _key(ask: Ask) -> str:
    """Return the name of a question: the same text and fields have the same answer."""
    text = "\n".join((*(line.shown for line in ask.lines), *ask.fields, ask.language or "", str(ask.most_chapters)))
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _joined_items(answers: Sequence[Answer]) -> Answer:
    """Return the action items of all parts; none if those of a part are missing."""
    found: dict[str, ActionItem] = {}
    for answer in answers:
        if answer.action_items is None:
            return Answer()
        for item in answer.action_items:
            found.setdefault(item.text.casefold(), item)
    return Answer(action_items=tuple(found.values())[:MOST_ITEMS])


def _notes(parts: Sequence[Sequence[Line]], answers: Sequence[Answer]) -> list[Line]:
    """Return the chapters of all parts as lines, each with its time."""
    chapters = [chapter for answer in answers for chapter in answer.chapters or ()]
    ends_s = [*(one.start for one in chapters[1:]), max(line.end_s for line in parts[-1])]
    return [
        Line(number, one.start, max(end_s, one.start), harmless(f"{one.title}. {one.summary}"))
        for number, (one, end_s) in enumerate(zip(chapters, ends_s, strict=True), start=1)
    ]
