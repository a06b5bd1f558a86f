"""Reads the form of a request to OpenAI's audio API as options of a job and what its answer must be.

Clients differ: they send fields in any order, arrays as `name[]`, repeated, or as JSON, and fields of other servers.
So nothing is refused that can be left out; `ignored` lists it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Literal, get_args

import msgspec

from ingest_service.client_json import ClientJsonError, decode_json
from ingest_service.errors import RefusedError
from ingest_service.openai_api.models import Models
from shared.schemas.languages import find_language
from shared.schemas.options import SubmitOptions

AUDIO_FIELD = "file"
Task = Literal["transcribe", "translate"]
AnswerFormat = Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]
Granularity = Literal["word", "segment"]

# Fields with an effect, and fields of which one value needs no action. Others are not read.
READ = frozenset(
    "model language languages prompt keywords response_format temperature timestamp_granularities include "
    "chunking_strategy known_speaker_names stream".split()
)
LISTS = frozenset({"languages", "timestamp_granularities"})  # of codes: one field may hold several
MAX_PARTS = 1024  # `keywords[]` is repeated for each word
MAX_TEXT_BYTES = 1 << 20  # of all fields together
MAX_PROMPT_CHARS = 10_000  # of the job's option
MAX_LANGUAGES = 8
MAX_NAMES_SHOWN = 16
FIELD = re.compile(r"(?P<name>[^\[\]]*)(?P<key>(?:\[[^\[\]]*\])*)")
SHOWN_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
ANY_LANGUAGE = frozenset({"auto", "detect", "none", "null"})  # what some clients send for no language
FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for: a job, and an answer. `ignored`: the fields that have no effect."""

    options: SubmitOptions
    response_format: AnswerFormat
    granularities: frozenset[Granularity]
    is_stream: bool
    model: str
    ignored: tuple[str, ...]


class AudioForm:
    """The fields of one form, in any order. Audio is the part `file`."""

    audio_field = AUDIO_FIELD
    max_parts = MAX_PARTS
    is_raw_pcm = False

    def __init__(self, task: Task, models: Models, deployment: str = "") -> None:
        self._task = task
        self._models = models
        self._deployment = deployment  # the model in Azure's path
        self._values: dict[str, list[str]] = {}
        self._unread: tuple[str, ...] = ()
        self._text_bytes = 0

    def wants(self, name: str) -> bool:
        """Return whether the field's text is needed. Note the name otherwise."""
        if _plain(name) in READ:
            return True
        self._unread = shown_names([*self._unread, name])  # a name may have kilobytes
        return False

    def add(self, name: str, text: str) -> None:
        """Add a field. RefusedError `invalid_form` if there is too much text."""
        self._text_bytes += len(text)
        if self._text_bytes > MAX_TEXT_BYTES:
            raise RefusedError("invalid_form", f"The fields have more than {MAX_TEXT_BYTES} characters.")
        match = FIELD.fullmatch(name)
        key = match["key"].strip("[]") if match else ""
        if text.strip():  # a client's empty field is one that its user did not set
            self._values.setdefault(_plain(name), []).append(f"{key}={text}" if key and not key.isdigit() else text)

    def options(self) -> SubmitOptions:
        """Return the job's options so far. Raise RefusedError `invalid_option`."""
        return self.asked().options

    def asked(self) -> Asked:
        """Return what the fields so far ask for. Raise RefusedError `invalid_option`."""
        return read_fields(self._values, self._task, self._models, self._deployment, self._unread)


def _plain(name: str) -> str:
    """Return a field's name without brackets: `include[]` is `include`."""
    match = FIELD.fullmatch(name)
    return match["name"] if match else name


def read_fields(
    values: Mapping[str, Sequence[str]], task: Task, models: Models, deployment: str = "", unread: Iterable[str] = ()
) -> Asked:
    """Read the fields by their names without brackets. Raise RefusedError `invalid_option`."""
    reader = _FieldReader(values)
    response_format = reader.response_format()
    name = reader.last("model") or deployment
    chosen = models.choose(name)
    if not chosen.is_known:
        reader.ignore("model")
    language, languages = reader.languages()
    is_stream = reader.stream()
    options = SubmitOptions(
        task=task,
        model=chosen.model,
        diarize=chosen.diarize or response_format == "diarized_json",
        language=language,
        languages=languages,
        prompt=reader.prompt(),
        denoise=False,
        stream_windows=is_stream,
    )
    granularities = reader.granularities(response_format)
    reader.check_others()
    return Asked(
        options=options,
        response_format=response_format,
        granularities=granularities,
        is_stream=is_stream,
        model=name,
        ignored=shown_names([*reader.ignored, *unread]),
    )


class _FieldReader:
    """Reads one field after the other, and notes those without effect."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values
        self.ignored: list[str] = []

    def ignore(self, name: str) -> None:
        self.ignored.append(name)

    def last(self, name: str) -> str:
        return self._values[name][-1].strip() if self._values.get(name) else ""

    def items(self, name: str) -> list[str]:
        return [item.strip() for text in self._values.get(name, ()) for item in _items(name, text) if item.strip()]

    def response_format(self) -> AnswerFormat:
        text = self.last("response_format").lower() or "json"
        if text not in FORMATS:
            raise RefusedError("invalid_option", f"`response_format` must be one of {', '.join(FORMATS)}.")
        return text

    def languages(self) -> tuple[str | None, str | None]:
        """Return the language, or else the languages as the job's option has them."""
        language = self._language()
        found = [find_language(item) for item in self.items("languages")]
        codes = list(dict.fromkeys(code for code in found if code))
        is_used = None not in found and len(codes) <= MAX_LANGUAGES and language in {None, *codes}
        if found and not is_used:
            self.ignore("languages[]")
        if language or not codes or len(codes) > MAX_LANGUAGES:
            return language, None
        return (codes[0], None) if len(codes) == 1 else (None, ",".join(codes))

    def _language(self) -> str | None:
        text = self.last("language")
        if not text or text.lower() in ANY_LANGUAGE:
            return None
        if (code := find_language(text)) is None:
            self.ignore("language")
        return code

    def prompt(self) -> str | None:
        """Return the keywords and the prompt, which comes last: the model gets the end."""
        texts = [", ".join(self.items("keywords")), self.last("prompt")]
        prompt = ". ".join(text for text in texts if text).replace("\x00", "")
        return prompt[-MAX_PROMPT_CHARS:] or None

    def granularities(self, response_format: AnswerFormat) -> frozenset[Granularity]:
        """Return what verbose_json must contain: `segment` unless something else is asked for."""
        asked = {item.lower() for item in self.items("timestamp_granularities")}
        known = frozenset(one for one in get_args(Granularity) if one in asked)
        if asked - known or (asked and response_format != "verbose_json"):
            self.ignore("timestamp_granularities[]")
        return known or frozenset({"segment"})

    def stream(self) -> bool:
        text = self.last("stream").lower()
        if text and text not in TRUE | FALSE:
            self.ignore("stream")
        return text in TRUE

    def check_others(self) -> None:
        """Note the fields that no engine of ours can honour. Temperature 0 and chunking `auto` are what is done."""
        if (text := self.last("temperature")) and _number(text) != 0:
            self.ignore("temperature")
        if self._values.get("include"):
            self.ignore("include[]")
        if set(self._values.get("chunking_strategy", ())) - {"auto"}:
            self.ignore("chunking_strategy")
        if self._values.get("known_speaker_names"):
            self.ignore("known_speaker_names[]")


def _items(name: str, text: str) -> Iterator[str]:
    """Yield the items of one field: those of a JSON array, those of a list of codes, or the text."""
    if text.lstrip().startswith("["):
        with suppress(ClientJsonError):
            yield from decode_json(text, list[str])
            return
    yield from text.split(",") if name in LISTS else (text,)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def shown_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first different names that may stand in a header and a log line."""
    return tuple(dict.fromkeys(name for name in names if SHOWN_NAME.fullmatch(name)))[:MAX_NAMES_SHOWN]
