"""Recordings for the load: seconds of speech at 8 kHz, made unique by a comment."""

import io
import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr

CLIP = Path(__file__).parents[3] / "deploy" / "local" / "jfk.flac"
RATE_HZ = 8000
LONG_S, SHORT_S = 10.0, 3.0  # five chunks and one chunk with the settings of a world
RIFF_HEADER = struct.Struct("<4sI")


def speech_wav(duration_s: float) -> bytes:
    """Return the start of the bundled clip as WAV."""
    samples, rate_hz = soundfile.read(CLIP, dtype="float32")
    speech = soxr.resample(samples, rate_hz, RATE_HZ)[: int(duration_s * RATE_HZ)]
    file = io.BytesIO()
    soundfile.write(file, speech, RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


def marked(wav: bytes, mark: str) -> bytes:
    """Append a comment, which decoders ignore."""
    text = mark.encode() + b"\0" * (1 + (len(mark) + 1) % 2)
    comment = b"INFO" + RIFF_HEADER.pack(b"ICMT", len(text)) + text
    body = wav[RIFF_HEADER.size :] + RIFF_HEADER.pack(b"LIST", len(comment)) + comment
    return RIFF_HEADER.pack(b"RIFF", len(body)) + body


def padded(wav: bytes, size: int) -> bytes:
    """Append a JUNK chunk so that the file has about `size` bytes."""
    missing = max(0, size - len(wav) - RIFF_HEADER.size) // 2 * 2
    body = wav[RIFF_HEADER.size :] + RIFF_HEADER.pack(b"JUNK", missing) + bytes(missing)
    return RIFF_HEADER.pack(b"RIFF", len(body)) + body


def damaged(wav: bytes) -> bytes:
    """Return bytes that start like a WAV file but cannot be decoded."""
    return wav[:12] + wav[:11:-1]


def endless_silence(wav: bytes) -> bytes:
    """Return an hour of silence in a few kilobytes, longer than a world allows, and the mark of a recording."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE_HZ, 1, "PCM_16", format="FLAC") as flac:
        for _minute in range(60):
            flac.write(np.zeros(60 * RATE_HZ, np.int16))
    return file.getvalue() + wav[-64:]
