"""Corrections of a transcript, as clients send them and as rows store them: they lie beside the engine's text.

A segment is addressed by its `id`, a word by its index in the segment, both in the engine's transcript.
"""

import datetime as dt
import unicodedata
from typing import Annotated

import msgspec

MAX_NAME_CHARS = 100
MAX_WORD_CHARS = 200
MAX_SEGMENT_CHARS = 10_000
MAX_SPEAKERS = 256
MAX_CHANGES = 20_000  # words and segments of a version; a day of speech has 200,000 words

NOT_TEXT = {"Cc", "Cs", "Zl", "Zp"}  # categories: control characters, surrogates, separators of lines and paragraphs
UNSEEN = {"Cf", "Zs"}  # characters without width, and spaces: a name of these alone cannot be seen or clicked
REORDERING = set(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # they could reverse what stands around a name

MAX_COUNT = 10_000_000  # of versions, and of segments and words of a transcript
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
WordText = Annotated[str, msgspec.Meta(max_length=MAX_WORD_CHARS)]
SegmentText = Annotated[str, msgspec.Meta(max_length=MAX_SEGMENT_CHARS)]


class WordEdit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another text for a word: several words separated by spaces, or none. The service fills in `was` and `at`."""

    segment: int
    word: int
    text: str
    was: str | None = None  # the engine's word
    at: int | None = None  # the index of the word in the whole transcript


class SegmentEdit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another speaker for a segment, by label, or another text for one without words.

    The service fills in `was` and `start`.
    """

    segment: int
    speaker: str | None = None
    text: str | None = None
    was: str | None = None  # the engine's text
    start: float | None = None  # of the segment


class TranscriptEdits(msgspec.Struct, frozen=True, kw_only=True):
    """All changes of a version, relative to the engine's transcript. `speakers`: label → name."""

    speakers: dict[str, str] = {}
    words: tuple[WordEdit, ...] = ()
    segments: tuple[SegmentEdit, ...] = ()

    @property
    def changes(self) -> int:
        """The number of changes that a person would count."""
        of_segments = sum((one.speaker is not None) + (one.text is not None) for one in self.segments)
        return len(self.speakers) + len(self.words) + of_segments


class NewWordEdit(WordEdit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A corrected word. `was` and `at` are ignored, so that a client may send what it read."""

    segment: Count
    word: Count
    text: WordText

    def __post_init__(self) -> None:
        require_text("words", self.text)


class NewSegmentEdit(SegmentEdit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A corrected segment. `was` and `start` are ignored."""

    segment: Count
    speaker: Name | None = None
    text: SegmentText | None = None

    def __post_init__(self) -> None:
        if self.speaker is None and self.text is None:
            raise ValueError("An entry of `segments` needs a `speaker` or a `text`")
        require_text("segments", self.text or "")
        if self.speaker is not None:
            require_name(self.speaker)


class NewEdits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /v1/jobs/{job_id}/transcript/edits`: all changes of the new version.

    `base_version`: the version that the client has changed; 0 if there was none.
    """

    base_version: Count
    speakers: dict[Name, Name] = {}
    words: tuple[NewWordEdit, ...] = ()
    segments: tuple[NewSegmentEdit, ...] = ()

    def __post_init__(self) -> None:
        for label, name in self.speakers.items():
            require_name(label)
            require_name(name)
        if len(self.speakers) > MAX_SPEAKERS:
            raise ValueError(f"`speakers` may have at most {MAX_SPEAKERS} entries")
        if len(self.words) + len(self.segments) > MAX_CHANGES:
            raise ValueError(f"`words` and `segments` may have at most {MAX_CHANGES} entries together")
        if len({(one.segment, one.word) for one in self.words}) < len(self.words):
            raise ValueError("`words` names a word twice")
        if len({one.segment for one in self.segments}) < len(self.segments):
            raise ValueError("`segments` names a segment twice")

    @property
    def edits(self) -> TranscriptEdits:
        """The changes alone."""
        return TranscriptEdits(speakers=self.speakers, words=self.words, segments=self.segments)


class EditVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the edits. Versions count from 1. Times are UTC."""

    version: int
    created_at: dt.datetime
    author: str | None  # the id of the API key; null: keys are not required
    changes: int
    outdated: bool  # the audio was transcribed again since: the version is shown, and not applied


class EditVersionList(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a job, newest first. `latest` is 0 if there is none."""

    latest: int
    versions: tuple[EditVersion, ...]


class EditVersionView(EditVersion, frozen=True, kw_only=True):
    """A version with its changes, addressed in the transcript that is served now."""

    speakers: dict[str, str]
    words: tuple[WordEdit, ...]
    segments: tuple[SegmentEdit, ...]


def require_text(field: str, text: str) -> None:
    """Raise ValueError for characters that no transcript contains."""
    if not is_text(text):
        raise ValueError(f"`{field}` contains a control character")


def require_name(name: str) -> None:
    """Raise ValueError unless a name is visible text."""
    if not is_name(name):
        raise ValueError("The label or the name of a speaker is blank or contains a control character")


def is_name(name: str) -> bool:
    """Return whether a name is visible text, without characters that reorder what stands around it."""
    is_visible = any(unicodedata.category(each) not in UNSEEN for each in name)
    return is_visible and is_text(name) and REORDERING.isdisjoint(name)


def is_text(text: str) -> bool:
    """Return whether a text has no control characters; a tab, too, is one."""
    return text.isprintable() or all(unicodedata.category(each) not in NOT_TEXT for each in text)
