"""Read and check a chat provider's answer. Only the fields that were asked for are kept, and only as plain text. Pure.

Times are never the provider's: it answers with numbers of lines that we gave it.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from processor_service.summaries.ask import Ask, Field
from processor_service.summaries.numbered_lines import Line
from processor_service.summaries.plain_text import plain, plain_paragraphs
from shared.schemas.summary import ActionItem, Chapter

MOST_SUMMARY_CHARS = 8000
MOST_TITLE_CHARS = 120
MOST_CHAPTER_CHARS = 600
MOST_ITEM_CHARS = 500
MOST_OWNER_CHARS = 80
MOST_ITEMS = 50  # of an answer
MOST_TOKENS = 1 << 31  # that a provider may report


T = TypeVar("T")


class InvalidAnswerError(ValueError):
    """The answer does not follow the API. The message quotes nothing of it."""


class Usage(msgspec.Struct, frozen=True):
    """The tokens that a provider reports."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Message(msgspec.Struct):
    role: str
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: msgspec.Raw = msgspec.Raw(b"null")


class Completion(msgspec.Struct, frozen=True):
    """The text of an answer, and its tokens."""

    text: str
    usage: Usage = Usage()


def read_completion(body: bytes) -> Completion:
    """Return the assistant's text. Raise InvalidAnswerError."""
    try:
        completion = msgspec.json.decode(body, type=_Completion)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise InvalidAnswerError("the answer has the wrong form") from None  # the cause may quote it
    if not completion.choices or completion.choices[0].message.role != "assistant":
        raise InvalidAnswerError("the answer has no message of the assistant")
    return Completion(completion.choices[0].message.content, _usage(completion.usage))


def _usage(raw: msgspec.Raw) -> Usage:
    usage = _decoded(raw, Usage) or Usage()
    return Usage(*(min(max(tokens, 0), MOST_TOKENS) for tokens in (usage.prompt_tokens, usage.completion_tokens)))


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The checked answer to a question; a field is None if it was not asked for, or not valid."""

    summary: str | None = None
    chapters: tuple[Chapter, ...] | None = None
    action_items: tuple[ActionItem, ...] | None = None

    def lacks(self, fields: Sequence[Field]) -> tuple[Field, ...]:
        """Return which of the fields are missing."""
        return tuple(field for field in fields if getattr(self, field) is None)


class _Fields(msgspec.Struct):
    """Each is decoded by itself: an invalid one spoils no other."""

    summary: msgspec.Raw = msgspec.Raw()
    chapters: msgspec.Raw = msgspec.Raw()
    action_items: msgspec.Raw = msgspec.Raw()


class _Chapter(msgspec.Struct):
    first_line: int
    title: str
    summary: str = ""


class _Item(msgspec.Struct):
    text: str
    line: int
    owner: str | None = None


def read_answer(text: str, ask: Ask) -> Answer:
    """Return what is valid of an answer: `Answer()` if nothing is."""
    found = _fields_in(text)
    return Answer(
        summary=_summary(found.summary) if "summary" in ask.fields else None,
        chapters=_chapters(found.chapters, ask) if "chapters" in ask.fields else None,
        action_items=_items(found.action_items, ask.lines) if "action_items" in ask.fields else None,
    )


def _fields_in(text: str) -> _Fields:
    """Return the fields of the JSON object of an answer, which may lie in a code block or behind other text."""
    text = text.rpartition("</think>")[2]
    for candidate in (text, text[text.find("{") : text.rfind("}") + 1]):
        try:
            return msgspec.json.decode(candidate, type=_Fields)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    return _Fields()


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.Decoder(kind).decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _summary(raw: msgspec.Raw) -> str | None:
    return plain_paragraphs(_decoded(raw, str) or "", MOST_SUMMARY_CHARS) or None


def _chapters(raw: msgspec.Raw, ask: Ask) -> tuple[Chapter, ...] | None:
    found = _decoded(raw, list[_Chapter])
    line_of = {line.number: line for line in ask.lines}
    if not found or len(found) > ask.most_chapters or any(one.first_line not in line_of for one in found):
        return None
    starts_s = [line_of[one.first_line].start_s for one in found]
    titles = [plain(one.title, MOST_TITLE_CHARS) for one in found]
    ends_s = [*starts_s[1:], max(line.end_s for line in ask.lines)]
    if not all(titles) or any(end_s <= start_s for start_s, end_s in zip(starts_s, ends_s, strict=True)):
        return None  # not ascending
    return tuple(
        Chapter(start=start_s, end=end_s, title=title, summary=plain(one.summary, MOST_CHAPTER_CHARS))
        for one, title, start_s, end_s in zip(found, titles, starts_s, ends_s, strict=True)
    )


def _items(raw: msgspec.Raw, lines: Sequence[Line]) -> tuple[ActionItem, ...] | None:
    found = _decoded(raw, list[_Item])
    start_of = {line.number: line.start_s for line in lines}
    if found is None or len(found) > MOST_ITEMS or any(one.line not in start_of for one in found):
        return None
    items = [
        ActionItem(
            text=plain(one.text, MOST_ITEM_CHARS),
            start=start_of[one.line],
            owner=plain(one.owner or "", MOST_OWNER_CHARS) or None,
        )
        for one in found
    ]
    return tuple(sorted(items, key=lambda item: item.start)) if all(item.text for item in items) else None
