"""What can be wrong with a client's audio, as coded sentences that the client understands: no path, no library's words.

Every malformed file ends in an AudioError or in sound, never in another exception.
"""

from shared.schemas.failures import FailureCode


class AudioError(Exception):
    """The audio cannot be processed, and trying again would not help."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def undecodable() -> AudioError:
    return AudioError(FailureCode.UNDECODABLE_AUDIO, "The file is damaged or is not audio: no decoder can read it.")


def empty() -> AudioError:
    return AudioError(FailureCode.EMPTY_AUDIO, "The file is valid but holds no sound: its length is zero.")


def too_long(max_audio_s: float) -> AudioError:
    return AudioError(FailureCode.AUDIO_TOO_LONG, f"The audio is longer than the {max_audio_s:g} seconds allowed.")


def no_audio_track() -> AudioError:
    return AudioError(FailureCode.NO_AUDIO_TRACK, "The file has no audio track.")


def unsupported_codec() -> AudioError:
    return AudioError(FailureCode.UNSUPPORTED_CODEC, "The file's audio track uses a codec that is not supported.")


def unsupported_audio(message: str) -> AudioError:
    return AudioError(FailureCode.UNSUPPORTED_AUDIO, message)
