"""Options that give speakers their names: by label, or by a sample of the voice.

A name is set once, in the stored transcript. Corrections of a client (`transcript_edits`) rename what is stored.
"""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from shared.schemas.transcript_edits import Name, is_name

MAX_NAMES = 64  # as many speakers as a job may have
MAX_KNOWN = 32
MAX_SPANS = 20
MAX_SAMPLE_S = 300.0  # of a sample together; more does not describe a voice better
MAX_TIME_S = 7 * 86400.0

LABEL = r"SPEAKER_[0-9]{2,4}"
NAMES_FORM = (
    f"a JSON object of at most {MAX_NAMES} entries, a name of at most 100 characters for each label, such as"
    ' {"SPEAKER_00": "Ann"}'
)
KNOWN_FORM = (
    f"a JSON list of at most {MAX_KNOWN} objects, each a `name` and one of `job_id`, `upload_id` and `voice`, such as"
    ' [{"name": "Ann", "job_id": "…", "times": [[1.5, 9]]}]'
)

Label = Annotated[
    str, msgspec.Meta(pattern=rf"^{LABEL}$(?!\n)", description="the label of a speaker, such as `SPEAKER_00`")
]
SpeakerNames = Annotated[dict[Label, Name], msgspec.Meta(max_length=MAX_NAMES)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_TIME_S)]
Times = Annotated[tuple[tuple[Seconds, Seconds], ...], msgspec.Meta(min_length=1, max_length=MAX_SPANS)]


class VoiceSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Speech of one person: spans of a job's audio or of a presigned upload, in seconds.

    Without `times`, it is the speech at the beginning; of several voices, the one that speaks most.
    """

    name: Name
    job_id: UUID | None = None
    upload_id: UUID | None = None
    times: Times | None = None

    def __post_init__(self) -> None:
        require_speaker_name(self.name)
        self.require_source()
        if self.times is not None:
            require_times(self.times)

    def require_source(self) -> None:
        """Raise ValueError unless there is one source."""
        if (self.job_id is None) == (self.upload_id is None):
            raise ValueError("A sample of a voice needs either a `job_id` or an `upload_id`")


class KnownSpeaker(VoiceSample, frozen=True, kw_only=True, omit_defaults=True):
    """A speaker who may be in the audio, by a sample or by the id of a voice of the tenant."""

    voice: UUID | None = None

    def require_source(self) -> None:
        """Raise ValueError unless there is one source, and spans only of audio."""
        if sum(each is not None for each in (self.job_id, self.upload_id, self.voice)) != 1:
            raise ValueError("Each of `known_speakers` needs one of `job_id`, `upload_id` and `voice`")
        if self.voice is not None and self.times is not None:
            raise ValueError("In `known_speakers`, `times` are of a `job_id` or an `upload_id`, not of a `voice`")


class NewKnownSpeaker(KnownSpeaker, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """As a client submits it. What is stored may be of a newer version, with more fields."""


class NewVoice(VoiceSample, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of `POST /v1/voices`."""


KnownSpeakers = Annotated[tuple[KnownSpeaker, ...], msgspec.Meta(max_length=MAX_KNOWN)]
NewKnownSpeakers = Annotated[tuple[NewKnownSpeaker, ...], msgspec.Meta(max_length=MAX_KNOWN)]


def require_speaker_name(name: str) -> None:
    """Raise ValueError unless the name is visible text and no label."""
    if not is_name(name):
        raise ValueError("The name of a known speaker is blank or contains a control character")
    if name.startswith("SPEAKER_"):
        raise ValueError("The name of a known speaker must not begin with `SPEAKER_`")


def require_times(times: tuple[tuple[float, float], ...]) -> None:
    """Raise ValueError unless spans are ascending pairs, and short together."""
    if any(start >= end for start, end in times):
        raise ValueError("In `times`, each span must end after its start")
    if sum(end - start for start, end in times) > MAX_SAMPLE_S:
        raise ValueError(f"In `times`, the spans may have at most {MAX_SAMPLE_S:g} seconds together")


def require_speaker_options(options: Any) -> None:
    """Raise ValueError unless the job finds the speakers whose names are given. `options`: JobOptions."""
    for name in (options.speaker_names or {}).values():
        if not is_name(name):
            raise ValueError("`speaker_names` has a name that is blank or contains a control character")
    if options.speaker_names and not options.diarize and options.channels != "separate":
        raise ValueError("`speaker_names` needs `diarize=true` or `channels=separate`")
    if (options.known_speakers or options.voices) and not options.diarize:
        raise ValueError(f"`{'known_speakers' if options.known_speakers else 'voices'}` needs `diarize=true`")
