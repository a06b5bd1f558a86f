"""The options of a job, as a client sends them and as every task reads them.

A submission with an unknown or invalid option is refused by name (see `read_options`). Unknown options in a stored job
are ignored: they may be of a newer version. Secrets are stored separately.
"""

from typing import Annotated, Any, Literal

import msgspec

from shared.schemas.job_parts import KnownText, LanguageConfidence, Moment, Part, seconds, settle_parts
from shared.schemas.key_terms import Replacements, Terms
from shared.schemas.known_speakers import KnownSpeakers, SpeakerNames, require_speaker_options
from shared.schemas.languages import LANGUAGES
from shared.schemas.redaction import AudioRedaction, RedactedKinds, check_redaction, kinds_of
from shared.schemas.results_to import ResultsFormats, ResultsTo, named_formats, why_no_results
from shared.schemas.webhooks import (
    WEBHOOK_SECRET_FORM,
    JobWebhooks,
    WebhookSecret,
    WebhookUrl,
    is_webhook_secret,
    webhooks_schema,
)
from shared.secret import decode_secret, encode_secret, secret_schema

LANGUAGE_CODES = f"one of Whisper's language codes: {', '.join(sorted(LANGUAGES))}"

# A description says what a pattern allows: refusals repeat it after "must be" (shared/allowed_values.py).
# Patterns end in `$(?!\n)`, because in Python `$` also matches before a final line break.
Language = Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(LANGUAGES)})]
Languages = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z]{2,3}(?:,[a-z]{2,3}){0,7}$(?!\n)",
        description="1 to 8 language codes, separated by commas, such as `en,fr`",
    ),
]
ModelName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)",
        description="the name of a model, such as `base`: at most 64 letters, digits, dots, underscores and hyphens",
    ),
]
QueueName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9-]{0,31}$(?!\n)",
        description="the name of a queue, such as `gpu`: at most 32 lower-case letters, digits and hyphens",
    ),
]
SpeakerCount = Annotated[int, msgspec.Meta(ge=1, le=64)]
TrackNumber = Annotated[int, msgspec.Meta(ge=0, le=255)]
Prompt = Annotated[
    str,
    msgspec.Meta(
        max_length=10_000, pattern=r"^[^\x00]*$", description="text of at most 10,000 characters, without NUL"
    ),
]


def require_summary_language(code: str, *, is_used: bool) -> None:
    """Raise ValueError for an unknown code, or if nothing is written in it."""
    if code not in LANGUAGES:
        raise ValueError(f"`summary_language` must be {LANGUAGE_CODES}")
    if not is_used:
        raise ValueError("`summary_language` needs `summary=true`, `chapters=true` or `action_items=true`")


class JobOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options that tasks read."""

    language: Language | None = None
    languages: Languages | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    model: ModelName | None = None
    denoise: bool = True
    transcribe_from: Literal["original", "denoised"] = "original"
    word_timestamps: bool = True
    diarize: bool = False
    num_speakers: SpeakerCount | None = None
    min_speakers: SpeakerCount | None = None
    max_speakers: SpeakerCount | None = None
    speaker_names: SpeakerNames | None = None
    known_speakers: KnownSpeakers = ()
    voices: bool = False
    channels: Literal["mix", "separate"] = "mix"
    track: TrackNumber | None = None
    prompt: Prompt | None = None
    keyterms: Terms = ()
    replacements: Replacements = {}
    vocabulary: bool = True
    summary: bool = False
    chapters: bool = False
    action_items: bool = False
    summary_language: Language | None = None
    searchable: bool = False
    results_formats: ResultsFormats | None = None
    audio_headers: str | None = None  # internal: the names of the headers with which `audio_url` is requested
    redact: RedactedKinds | None = None
    redact_audio: AudioRedaction = "none"
    redact_keep_original: bool = False
    profanity: Literal["keep", "mask"] = "keep"
    stream_windows: bool = False  # internal: publish the text of windows while they are transcribed
    detect_language_only: bool = False
    diarize_only: bool = False
    start: Moment | None = None
    end: Moment | None = None
    language_confidence: LanguageConfidence | None = None
    text: KnownText | None = None

    def __post_init__(self) -> None:
        if self.language is not None and self.language not in LANGUAGES:
            raise ValueError(f"`language` must be {LANGUAGE_CODES}")
        if self.languages and not LANGUAGES.issuperset(self.allowed_languages):
            raise ValueError(f"`languages` must be separated by commas, each {LANGUAGE_CODES}")
        if self.language and self.languages and self.language not in self.allowed_languages:
            raise ValueError("`language` must be one of `languages`")
        if self.transcribe_from == "denoised" and not self.denoise:
            raise ValueError("`transcribe_from=denoised` needs `denoise=true`")
        if self.min_speakers and self.max_speakers and self.min_speakers > self.max_speakers:
            raise ValueError("`min_speakers` must not be larger than `max_speakers`")
        if self.num_speakers and (self.min_speakers or self.max_speakers):
            raise ValueError("`num_speakers` is exact: it excludes `min_speakers` and `max_speakers`")
        check_redaction(self.redact, self.redact_audio, keep_original=self.redact_keep_original)
        if self.speaker_names or self.known_speakers or self.voices:
            require_speaker_options(self)
        if self.summary_language is not None:
            require_summary_language(self.summary_language, is_used=self.wants_summary)
        settle_parts(self)

    @property
    def wants_summary(self) -> bool:
        """Whether a chat provider is asked about the text."""
        return self.summary or self.chapters or self.action_items

    @property
    def part(self) -> Part:
        """The part of the recording that the job is about."""
        return Part(seconds("start", self.start) or 0.0, seconds("end", self.end))

    @property
    def redacted_kinds(self) -> tuple[str, ...]:
        """What to redact; none: the text stays as it is."""
        return kinds_of(self.redact)

    @property
    def has_redacted_audio(self) -> bool:
        """Whether clients get a redacted copy instead of the audio that was uploaded."""
        return self.redact_audio != "none"

    @property
    def changes_text(self) -> bool:
        """Whether the text of the engine must not be shown as it is."""
        return self.redact is not None or self.profanity == "mask"

    @property
    def allowed_languages(self) -> tuple[str, ...]:
        """The languages of which the model chooses; none: all."""
        return tuple(dict.fromkeys((self.languages or "").split(","))) if self.languages else ()

    @property
    def uses_voices(self) -> bool:
        """Whether speakers are compared with voices that the tenant keeps."""
        return self.voices or (self.known_speakers != () and any(one.voice for one in self.known_speakers))


# Stored options that routes set. Clients cannot send them.
INTERNAL_OPTIONS = frozenset({"stream_windows", "audio_headers"})
# A finished job may get others.
SPEAKER_OPTIONS = ("num_speakers", "min_speakers", "max_speakers", "speaker_names", "known_speakers", "voices")


class SubmitOptions(JobOptions, frozen=True, kw_only=True, omit_defaults=True):
    """All options of a submission: the job's options, its webhooks and its metadata."""

    queue: QueueName | None = None
    webhook_url: WebhookUrl | None = None
    webhook_secret: WebhookSecret | None = None
    webhooks: JobWebhooks = ()
    results_to: ResultsTo | None = None
    metadata: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.webhook_secret is not None and not is_webhook_secret(self.webhook_secret.reveal()):
            raise ValueError(f"`webhook_secret` must be {WEBHOOK_SECRET_FORM}")
        if self.results_to is not None and (problem := why_no_results(self.results_to.reveal(), self.results_formats)):
            raise ValueError(problem)
        if self.results_formats and self.results_to is None:
            raise ValueError("`results_formats` needs `results_to`")

    def job_options(self) -> JobOptions:
        """Return the options that tasks read. They are stored with the job and copied into dead letters."""
        values = {name: getattr(self, name) for name in JobOptions.__struct_fields__}
        if self.results_to is not None:
            values["results_formats"] = named_formats(self.results_to.reveal(), self.results_formats)
        return JobOptions(**values)

    def job_options_json(self) -> str:
        """Return the JSON of `job_options`."""
        others = self.webhook_url, self.webhook_secret, self.webhooks or None, self.results_to, self.metadata
        is_plain = all(value is None for value in others)
        # Defaults are omitted, and the fields of `JobOptions` come first.
        return msgspec.json.encode(self if is_plain else self.job_options()).decode()


def encode_submission(options: SubmitOptions, *, order: Literal["sorted"] | None = None) -> bytes:
    """Write all options as JSON, the secret as text. Only for the database and for hashes."""
    return msgspec.json.encode(options, enc_hook=encode_secret, order=order)


def decode_submission(data: bytes | str) -> SubmitOptions:
    """Read what `encode_submission` wrote."""
    return msgspec.json.decode(data, type=SubmitOptions, dec_hook=decode_secret)


def submission_schema() -> dict[str, Any]:
    """The JSON schema of each option of clients by name."""
    schema = msgspec.json.schema(SubmitOptions, schema_hook=secret_schema)
    properties: dict[str, Any] = schema["$defs"]["SubmitOptions"]["properties"]
    properties["webhooks"] = webhooks_schema(properties["webhooks"], schema["$defs"])
    return {name: definition for name, definition in properties.items() if name not in INTERNAL_OPTIONS}


def has_source_headers(options_json: str) -> bool:
    """Return whether a job was submitted with `audio_headers`. Nearly no job is: its options are not parsed."""
    return '"audio_headers"' in options_json and "audio_headers" in msgspec.json.decode(options_json)


def has_results(options_json: str) -> bool:
    """Return whether the results of a job are written to a bucket or to URLs."""
    return '"results_formats"' in options_json


# Options that may hold words of the audio, and names.
OF_PEOPLE = ("prompt", "keyterms", "replacements", "text", "speaker_names", "known_speakers")


def without_prompt(options_json: str) -> str:
    """Return stored options without what they say about people."""
    options = msgspec.json.decode(options_json, type=dict[str, Any])
    return msgspec.json.encode({name: one for name, one in options.items() if name not in OF_PEOPLE}).decode()
