"""Names and media types of the formats, and how a request wants them."""

from typing import Literal

import msgspec

TextFormat = Literal["txt", "srt", "vtt", "tsv", "lrc", "md", "html", "textgrid", "rttm", "chapters", "ffmetadata"]
FileFormat = Literal["docx"]  # not text
TITLED = frozenset({"md", "html", "docx"})  # they name the recording
MEDIA_TYPES: dict[TextFormat | FileFormat, str] = {  # the framework adds the charset to `text/…`
    "txt": "text/plain",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt",
    "tsv": "text/tab-separated-values",
    "lrc": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "textgrid": "text/plain",
    "rttm": "text/plain",
    "chapters": "text/vtt",
    "ffmetadata": "text/plain",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
SUFFIXES = {"textgrid": "TextGrid", "chapters": "chapters.vtt"}  # of files, where it is not the name of the format


def text_type(wanted: TextFormat) -> str:
    """Return the media type for clients that decode only `text/…` as text."""
    media_type = MEDIA_TYPES[wanted]
    return media_type if media_type.startswith("text/") else "text/plain"


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What a page says about its recording: a title, the name of its file, and where the service has it."""

    title: str = "Transcript"
    filename: str = ""
    link: str = ""


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """What a request adds to a format. The default adds nothing."""

    words: bool = False  # SRT, VTT, LRC: show each word at its time
    direction_marks: bool = False  # SRT, VTT: mark lines of right-to-left scripts
    paragraphs: bool = False  # JSON
    normalize: bool = False  # write numbers with digits
    recording: Recording = Recording()


PLAIN = Style()
