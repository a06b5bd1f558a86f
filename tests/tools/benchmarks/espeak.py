"""Speech synthesis with eSpeak NG, in process, with the time at which each word begins. Needs `espeakng-loader`."""

import ctypes
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS
CHARACTERS, UTF8 = 1, 1  # POS_CHARACTER, espeakCHARS_UTF8
RATE_PARAMETER, LIST_END, WORD = 1, 0, 1
VOICES = ("en-us", "en-us+f3", "en-gb", "en-us+m3", "en-gb-x-rp+f4", "en-us+f5")
WORDS_PER_MINUTE = (140, 155, 170)


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Sound(NamedTuple):
    """Samples from -1 to 1. `words`: where words begin in the text (characters) and in the sound (s), in order."""

    samples: npt.NDArray[np.float32]
    rate_hz: int
    words: tuple[tuple[int, float], ...]

    def span_of(self, start: int, end: int) -> tuple[float, float]:
        """Return the seconds in which some characters are said."""
        before = [at_s for at, at_s in self.words if at <= start]
        behind = [at_s for at, at_s in self.words if at >= end]
        return before[-1] if before else 0.0, behind[0] if behind else len(self.samples) / self.rate_hz


def say(text: str, voice: str, words_per_minute: int) -> Sound:
    """Return a text as speech."""
    library, rate_hz = _library()
    pieces: list[npt.NDArray[np.int16]] = []
    words: list[tuple[int, float]] = []

    def collect(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        at = 0
        while events[at].type != LIST_END:
            if events[at].type == WORD:
                words.append((events[at].text_position - 1, events[at].audio_position / 1000))
            at += 1
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(voice.encode())
    library.espeak_SetParameter(RATE_PARAMETER, words_per_minute, 0)
    data = text.encode() + b"\0"
    library.espeak_Synth(data, len(data), 0, CHARACTERS, 0, UTF8, None, None)
    samples = np.asarray(np.concatenate(pieces) / 32768, np.float32)
    return Sound(samples, rate_hz, tuple(words))


@cache
def _library() -> tuple[Any, int]:
    import espeakng_loader  # GPL: a tool of its own, that no service imports

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    return library, library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
