"""The exceptions of the processor, and what each means for a task.

ProcessorError
├── TaskError               ends the attempt with a coded failure
│   ├── PermanentError      the same input fails again: the task is dead
│   │   └── AudioError      the audio cannot be decoded or is not acceptable
│   └── TransientError      another attempt may succeed: the task waits
├── ChildCrashError         the compute child died during the task
├── LeaseLostError          the lease is lost: the worker must not write
├── SourceBrokenError       the download of a source broke: another connection may continue it
└── SourceChangedError      the source changed during the download: start again from the first byte

Failure messages are for clients. They contain no path, no URL and no text from a library. Compute children import this
module, so it imports no large library.
"""

from shared.schemas.failures import FailureCode

SOURCE_SERVER = "The server of the `audio_url`"


class ProcessorError(Exception):
    """The root of the tree."""


class TaskError(ProcessorError):
    """A coded failure; `message` is for the client."""

    transient = False

    def __init__(self, code: FailureCode, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class PermanentError(TaskError):
    """Another attempt fails the same way."""


class AudioError(PermanentError):
    """The audio cannot be processed. Every malformed file raises this or decodes; it raises nothing else."""


class TransientError(TaskError):
    """Another attempt may succeed."""

    transient = True


class ChildCrashError(ProcessorError):
    """The compute child died (a native crash, out of memory) while it worked on a task."""


class LeaseLostError(ProcessorError):
    """Another worker or nothing holds the task now. The transaction rolls back."""


class SourceBrokenError(ProcessorError):
    """`reason` continues "The server of the `audio_url` …". `failure` applies when no other connection helps."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.failure = source_unavailable(reason, retry_after_s=retry_after_s)


class SourceChangedError(ProcessorError):
    """The message continues "The server of the `audio_url` …"."""


def undecodable() -> AudioError:
    return AudioError(FailureCode.UNDECODABLE_AUDIO, "The file is damaged or is not audio: no decoder can read it.")


def empty() -> AudioError:
    return AudioError(FailureCode.EMPTY_AUDIO, "The file is valid but contains no audio: its duration is zero.")


def starts_after_end(start_s: float, length_s: float) -> AudioError:
    """The option `start` is beyond the end."""
    return AudioError(
        FailureCode.START_AFTER_END,
        f"The recording is {length_s:.3f} seconds long: `start`, {start_s:g} seconds, is not before its end.",
    )


def too_long(max_audio_s: float) -> AudioError:
    return AudioError(FailureCode.AUDIO_TOO_LONG, f"The audio is longer than the {max_audio_s:g} seconds allowed.")


def too_much_audio(most_bytes: int) -> AudioError:
    """Decoding writes more than the budget of a source of this size."""
    return AudioError(
        FailureCode.TOO_MUCH_AUDIO,
        f"The decoded audio takes more than the {most_bytes} bytes allowed for a source of this size.",
    )


def storage_full() -> TransientError:
    """A disk has no space but its reserve."""
    return TransientError(FailureCode.STORAGE_FULL, "The service has no free disk space; the job continues later.")


def no_audio_track() -> AudioError:
    return AudioError(FailureCode.NO_AUDIO_TRACK, "The file has no audio track.")


def no_such_track(number: int, count: int) -> AudioError:
    return AudioError(
        FailureCode.NO_AUDIO_TRACK, f"The file has no audio track {number}: it has {count}, counted from 0."
    )


def unsupported_codec() -> AudioError:
    return AudioError(FailureCode.UNSUPPORTED_CODEC, "The codec of the file's audio track is not supported.")


def unsupported_audio(message: str) -> AudioError:
    return AudioError(FailureCode.UNSUPPORTED_AUDIO, message)


def source_unavailable(reason: str, *, retry_after_s: float | None = None) -> TransientError:
    """The server cannot send the source now."""
    return TransientError(FailureCode.SOURCE_UNAVAILABLE, f"{SOURCE_SERVER} {reason}.", retry_after_s=retry_after_s)


def source_blocked(reason: str) -> PermanentError:
    """The policy for outbound addresses refuses the URL or a redirect target."""
    return PermanentError(FailureCode.SOURCE_BLOCKED, f"The `audio_url` is refused: {reason}.")


def source_refused(reason: str) -> PermanentError:
    """The server does not serve the source."""
    return PermanentError(FailureCode.SOURCE_REFUSED, f"{SOURCE_SERVER} {reason}.")


def source_too_large(max_bytes: int) -> PermanentError:
    """The source is larger than an upload may be."""
    return PermanentError(FailureCode.SOURCE_TOO_LARGE, f"The source is larger than {max_bytes} bytes.")
