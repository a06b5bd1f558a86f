"""Parse the query of `/asr` and `/detect-language`, as lenient as the original. Pure.

Unknown parameters are ignored, the last of several values counts, and an empty value stands for the default.
"""

from collections.abc import Mapping
from typing import Literal, get_args
from urllib.parse import parse_qsl

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.uploads.form import MAX_PARTS
from ingest_service.uploads.parse_options import OptionCollector
from ingest_service.uploads.receive import AUDIO_FIELD
from shared.schemas.languages import find_language
from shared.schemas.options import SubmitOptions

Output = Literal["txt", "vtt", "srt", "tsv", "json"]
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
MAX_PROMPT_CHARS = 10_000  # a model reads the end of a prompt, and less than this
ANY_LANGUAGE = "auto"


class AsrQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a request wants. `is_raw`: the audio is 16 kHz mono s16le without a header."""

    options: SubmitOptions
    output: Output
    has_words: bool
    is_raw: bool


class AsrForm:
    """The form of a request: the audio alone counts."""

    audio_field = AUDIO_FIELD
    max_parts = MAX_PARTS

    def __init__(self, query: AsrQuery) -> None:
        self.is_raw_pcm = query.is_raw
        self._options = query.options

    def wants(self, name: str) -> bool:  # noqa: ARG002 - none of the fields
        """Return whether the field's text is needed."""
        return False

    def add(self, name: str, text: str) -> None:
        """Do nothing: see `wants`."""

    def options(self) -> SubmitOptions:
        """Return the options of the query."""
        return self._options


def parse_query(query: str) -> AsrQuery:
    """Parse the query of `/asr`. Raise RefusedError `invalid_option`, which names the parameter.

    Words always have times, because subtitles are divided by them; `word_timestamps` decides whether JSON has them.
    `vad_filter` is always on.
    """
    values = _values(query)
    return AsrQuery(
        options=_options(values),
        output=_output(values.get("output", "txt")),
        has_words=_boolean(values, "word_timestamps", default=False),
        is_raw=not _boolean(values, "encode", default=True),
    )


def parse_detection_query(query: str) -> AsrQuery:
    """Parse the query of `/detect-language`. Raise RefusedError `invalid_option`."""
    return AsrQuery(
        options=SubmitOptions(denoise=False, detect_language_only=True),
        output="json",
        has_words=False,
        is_raw=not _boolean(_values(query), "encode", default=True),
    )


def _values(query: str) -> dict[str, str]:
    return {name: text.strip() for name, text in parse_qsl(query) if text.strip()}


def _options(values: Mapping[str, str]) -> SubmitOptions:
    collector = OptionCollector()
    collector.add("denoise", "false")
    collector.add("task", values.get("task", "transcribe").lower())
    if language := _language(values.get("language", ANY_LANGUAGE)):
        collector.add("language", language)
    if prompt := values.get("initial_prompt", "").replace("\0", "")[-MAX_PROMPT_CHARS:]:
        collector.add("prompt", prompt)
    names = ("diarize", "enable_diarization")  # the second is WhisperX'
    if any(_boolean(values, name, default=False) for name in names):
        collector.add("diarize", "true")
        for name in ("min_speakers", "max_speakers"):
            if values.get(name, "0") != "0":
                collector.add(name, values[name])
    return collector.options()


def _language(text: str) -> str | None:
    code = find_language(text)
    if code is None and text.lower() != ANY_LANGUAGE:
        raise RefusedError("invalid_option", "`language` must be a code such as `en`, or an English name.")
    return code


def _output(text: str) -> Output:
    for output in get_args(Output):
        if output == text.lower():
            found: Output = output
            return found
    raise RefusedError("invalid_option", f"`output` must be one of {', '.join(get_args(Output))}.")


def _boolean(values: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = values.get(name, str(default)).lower()
    if text not in BOOLEANS:
        raise RefusedError("invalid_option", f"`{name}` must be `true` or `false`.")
    return BOOLEANS[text]
