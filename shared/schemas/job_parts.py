"""Options that ask for a part: of the recording (`start`, `end`), or of the work (`diarize_only`, …)."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    from shared.schemas.options import JobOptions

MAX_TIME_S = 3_600_000.0  # a thousand hours: more than any recording has
TIME_FORM = "text such as `90`, `1:30` or `00:01:30.250`"
TIME = r"(?:(?:([0-9]{1,3}):)?([0-9]{1,2}):)?([0-9]{1,7}(?:\.[0-9]{1,6})?)"

# Clients send either; the options keep a number.
Moment = (
    Annotated[float, msgspec.Meta(ge=0, le=MAX_TIME_S)]
    | Annotated[str, msgspec.Meta(pattern=rf"^{TIME}$(?!\n)", description=TIME_FORM)]
)
MAX_TEXT_CHARS = 50_000  # an hour of speech
KnownText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_TEXT_CHARS,
        pattern=r"^[^\x00]*$",
        description=f"the text that is spoken, of at most {MAX_TEXT_CHARS} characters, without NUL",
    ),
]
LanguageConfidence = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Part(msgspec.Struct, frozen=True):
    """Seconds on the clock of the recording; `end_s` None: to its end."""

    start_s: float = 0.0
    end_s: float | None = None

    @property
    def length_s(self) -> float | None:
        """The most seconds that the part can have; None: as many as the recording has."""
        return None if self.end_s is None else self.end_s - self.start_s

    def first(self, length_s: float) -> "Part":
        """Return the beginning of the part."""
        return Part(self.start_s, self.start_s + min(length_s, self.length_s or length_s))


WHOLE = Part()


def seconds(name: str, moment: Moment | None) -> float | None:
    """Return the seconds of a moment. Raise ValueError with a sentence that names the option."""
    if not isinstance(moment, str):
        return moment
    found = re.fullmatch(TIME, moment)
    is_clock = found is not None and (not found[2] or float(found[3]) < 60) and (not found[1] or int(found[2]) < 60)
    time_s = int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + float(found[3]) if found else 0.0
    if not is_clock or time_s > MAX_TIME_S:
        raise ValueError(f"`{name}` must be a number of seconds from 0 to {MAX_TIME_S:.0f}, or {TIME_FORM}")
    return round(time_s, 6)


def settle_parts(options: "JobOptions") -> None:
    """Keep times as numbers, and set what follows from these options. Raise ValueError with a sentence that names one.

    Stored options pass this, too: it refuses nothing that an older version accepted.
    """
    if options.start is not None or options.end is not None:
        _settle_moments(options)
    if options.diarize_only:
        _keep(options, diarize=True)
    if options.diarize_only or options.detect_language_only:
        _keep(options, denoise=False)


def _settle_moments(options: "JobOptions") -> None:
    _keep(options, start=seconds("start", options.start), end=seconds("end", options.end))
    part = options.part
    if part.end_s is not None and part.end_s <= part.start_s:
        raise ValueError("`end` must be after `start`" if part.start_s else "`end` must be above 0")


def _keep(options: "JobOptions", **values: Any) -> None:
    for name, value in values.items():
        msgspec.structs.force_setattr(options, name, value)


# Pairs of options of which a client may send one.
EXCLUDED = {
    "detect_language_only": (
        ("language", None, "give the candidates in `languages`"),
        ("diarize", False, "it finds no speakers"),
        ("transcribe_from", "original", "it transcribes nothing"),
    ),
    "diarize_only": (
        ("channels", "mix", "it distinguishes voices, not channels"),
        ("transcribe_from", "original", "it transcribes nothing"),
    ),
    "text": (
        ("detect_language_only", False, "it transcribes nothing"),
        ("diarize_only", False, "it transcribes nothing"),
        ("task", "transcribe", "it is the text that is spoken"),
        ("channels", "mix", "it is one text"),
        ("word_timestamps", True, "it asks for the times of words"),
    ),
    "language_confidence": (("language", None, "it is about a detected language"),),
}


def why_contradictory(options: "JobOptions") -> str | None:
    """Return a sentence about two options that exclude each other; None if there are none."""
    for name, excluded in EXCLUDED.items():
        if getattr(options, name):
            for other, allowed, reason in excluded:
                if getattr(options, other) != allowed:
                    return f"`{name}` excludes `{other}`: {reason}."
    return None
