"""The options of a job, as a client writes them and as every task reads them.

Unknown or invalid options are refused by name where they come in (see `read_options`). Stored ones may be of a
newer version: what is not known of them is passed over. Secrets are not among the options but beside them.
"""

import base64
from typing import Annotated, Any, Literal

import msgspec

# The language codes that Whisper's multilingual models were trained on.
LANGUAGES = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy "
    "id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa "
    "sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh".split()
)

# Patterns end in `$(?!\n)`: to Python, `$` alone stands before a last line break, too.
Language = Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(LANGUAGES)})]
ModelName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)")]
SpeakerCount = Annotated[int, msgspec.Meta(ge=1, le=64)]
Prompt = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*$")]
# No credentials in it: the attempts' log shows the host, and receivers verify the signature.
WebhookUrl = Annotated[
    str, msgspec.Meta(pattern=r"^https?://[^\s/?#@]+(?:[/?#][^\x00-\x1f\x7f]*)?$(?!\n)", max_length=2000)
]
WEBHOOK_SECRET_FORM = "`whsec_` and the base64 of 12 to 128 random bytes"  # noqa: S105 - the form of one
WebhookSecret = Annotated[
    str,
    msgspec.Meta(
        extra_json_schema={
            "pattern": "^whsec_(?:[A-Za-z0-9+/]{4}){4,42}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
            "description": WEBHOOK_SECRET_FORM,
        }
    ),
]


def is_webhook_secret(text: str) -> bool:
    """Whether Standard Webhooks' reference library signs with it as it stands; it drops what is no base64 silently."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return text.startswith("whsec_") and 12 <= len(key) <= 128


class JobOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the client asked of a job, besides where to report."""

    language: Language | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    model: ModelName | None = None
    denoise: bool = True
    transcribe_from: Literal["original", "denoised"] = "original"
    word_timestamps: bool = True
    diarize: bool = False
    min_speakers: SpeakerCount | None = None
    max_speakers: SpeakerCount | None = None
    channels: Literal["mix", "separate"] = "mix"
    prompt: Prompt | None = None

    def __post_init__(self) -> None:
        if self.language is not None and self.language not in LANGUAGES:
            raise ValueError(f"`language` is not a code Whisper knows: {self.language[:20]!r}")
        if self.transcribe_from == "denoised" and not self.denoise:
            raise ValueError("`transcribe_from=denoised` needs `denoise`")
        if self.min_speakers and self.max_speakers and self.min_speakers > self.max_speakers:
            raise ValueError("`min_speakers` is larger than `max_speakers`")


class SubmitOptions(JobOptions, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a submission may carry: the job's options, and where and how to report."""

    webhook_url: WebhookUrl | None = None
    webhook_secret: WebhookSecret | None = None
    metadata: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.webhook_secret is not None and not is_webhook_secret(self.webhook_secret):
            raise ValueError(f"`webhook_secret` is not {WEBHOOK_SECRET_FORM}")

    def job_options(self) -> JobOptions:
        """The part that tasks read; stored with the job and copied into dead letters."""
        return JobOptions(**{name: getattr(self, name) for name in JobOptions.__struct_fields__})


def without_prompt(options_json: str) -> str:
    """Stored options without what the client says of its audio in words."""
    options = msgspec.json.decode(options_json, type=dict[str, Any])
    options.pop("prompt", None)
    return msgspec.json.encode(options).decode()
