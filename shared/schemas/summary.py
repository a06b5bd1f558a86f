"""What a recording was about: parts of a transcript that a chat provider made, and how. Times in seconds."""

import msgspec

SUMMARY_OPTIONS = ("summary", "chapters", "action_items")


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """A span about one topic. Its start is that of a spoken passage; it ends where the next chapter starts."""

    start: float
    end: float
    title: str
    summary: str = ""


class ActionItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that someone is to do; `start` is that of the passage that says so."""

    text: str
    start: float
    owner: str | None = None


class SummaryUse(msgspec.Struct, frozen=True, kw_only=True):
    """Who made the summary, and what it cost. The tokens are those that the provider reported."""

    provider: str
    model: str
    requests: int
    prompt_tokens: int
    completion_tokens: int


class SummaryInput(msgspec.Struct, frozen=True):
    """The `input` of a summarize task: how many speakers the transcript names."""

    speakers: int = 0
