"""The options of a job, as a client sends them and as every task reads them.

A submission with an unknown or invalid option is refused by name (see `read_options`). Unknown options in a stored job
are ignored: they may be of a newer version. Secrets are stored separately.
"""

import base64
from typing import Annotated, Any, Literal

import msgspec

from shared.schemas.languages import LANGUAGES
from shared.secret import Secret, decode_secret, encode_secret, secret_schema

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
SpeakerCount = Annotated[int, msgspec.Meta(ge=1, le=64)]
TrackNumber = Annotated[int, msgspec.Meta(ge=0, le=255)]
Prompt = Annotated[
    str,
    msgspec.Meta(
        max_length=10_000, pattern=r"^[^\x00]*$", description="text of at most 10,000 characters, without NUL"
    ),
]
# No credentials: the attempts' log shows the host, and receivers verify the signature.
WebhookUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\\/?#@]+(?:[/?#][^\x00-\x1f\x7f]*)?$(?!\n)",
        max_length=2000,
        description="an http or https URL of at most 2000 characters, without user name and password, such as "
        "https://example.com/hook",
    ),
]
WEBHOOK_SECRET_FORM = "`whsec_` and the base64 of 12 to 128 random bytes"  # noqa: S105 - the form of one
WebhookSecret = Annotated[
    Secret,
    msgspec.Meta(
        extra_json_schema={
            "pattern": "^whsec_(?:[A-Za-z0-9+/]{4}){4,42}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
            "description": WEBHOOK_SECRET_FORM,
        }
    ),
]


def is_webhook_secret(text: str) -> bool:
    """Whether the key is valid base64 of a valid length. The reference library silently drops invalid characters."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return text.startswith("whsec_") and 12 <= len(key) <= 128


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
    channels: Literal["mix", "separate"] = "mix"
    track: TrackNumber | None = None
    prompt: Prompt | None = None
    stream_windows: bool = False  # internal: publish the text of windows while they are transcribed
    detect_language_only: bool = False  # internal: find the language of the beginning, transcribe nothing

    def __post_init__(self) -> None:
        if self.language is not None and self.language not in LANGUAGES:
            raise ValueError(f"`language` must be {LANGUAGE_CODES}")
        if not LANGUAGES.issuperset(self.allowed_languages):
            raise ValueError(f"`languages` must be separated by commas, each {LANGUAGE_CODES}")
        if self.language and self.languages and self.language not in self.allowed_languages:
            raise ValueError("`language` must be one of `languages`")
        if self.transcribe_from == "denoised" and not self.denoise:
            raise ValueError("`transcribe_from=denoised` needs `denoise=true`")
        if self.min_speakers and self.max_speakers and self.min_speakers > self.max_speakers:
            raise ValueError("`min_speakers` must not be larger than `max_speakers`")
        if self.num_speakers and (self.min_speakers or self.max_speakers):
            raise ValueError("`num_speakers` is exact: it excludes `min_speakers` and `max_speakers`")

    @property
    def allowed_languages(self) -> tuple[str, ...]:
        """The languages of which the model chooses; none: all."""
        return tuple(dict.fromkeys((self.languages or "").split(","))) if self.languages else ()


# Stored options that routes set. Clients cannot send them.
INTERNAL_OPTIONS = frozenset({"stream_windows", "detect_language_only"})
SPEAKER_OPTIONS = ("num_speakers", "min_speakers", "max_speakers")  # a finished job may get others


class SubmitOptions(JobOptions, frozen=True, kw_only=True, omit_defaults=True):
    """All options of a submission: the job's options, its webhook and its metadata."""

    webhook_url: WebhookUrl | None = None
    webhook_secret: WebhookSecret | None = None
    metadata: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.webhook_secret is not None and not is_webhook_secret(self.webhook_secret.reveal()):
            raise ValueError(f"`webhook_secret` must be {WEBHOOK_SECRET_FORM}")

    def job_options(self) -> JobOptions:
        """Return the options that tasks read. They are stored with the job and copied into dead letters."""
        return JobOptions(**{name: getattr(self, name) for name in JobOptions.__struct_fields__})


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
    return {name: definition for name, definition in properties.items() if name not in INTERNAL_OPTIONS}


def without_prompt(options_json: str) -> str:
    """Return stored options without the prompt, which may hold words of the audio."""
    options = msgspec.json.decode(options_json, type=dict[str, Any])
    options.pop("prompt", None)
    return msgspec.json.encode(options).decode()
