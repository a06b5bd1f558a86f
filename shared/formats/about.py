"""What documents show before the text of a transcript: summary, chapters and action items. Pure."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import UNSET

from shared.formats.paragraphs import clock
from shared.schemas.transcript import Transcript


class Block(NamedTuple):
    """A heading, a paragraph, or an item of a list that begins at a time of the recording."""

    kind: Literal["heading", "paragraph", "item"]
    text: str
    start_s: float = 0.0

    @property
    def time(self) -> str:
        return clock(self.start_s)


def about_of(transcript: Transcript) -> Iterator[Block]:
    """Yield the blocks; none for a transcript without these parts."""
    if transcript.summary is not UNSET:
        yield Block("heading", "Summary")
        yield from (Block("paragraph", line) for line in transcript.summary.splitlines())
    if transcript.chapters is not UNSET:
        yield Block("heading", "Chapters")
        for chapter in transcript.chapters:
            yield Block("item", ": ".join(filter(None, (chapter.title, chapter.summary))), chapter.start)
    if transcript.action_items:
        yield Block("heading", "Action items")
        for item in transcript.action_items:
            yield Block("item", f"{item.text} ({item.owner})" if item.owner else item.text, item.start)
