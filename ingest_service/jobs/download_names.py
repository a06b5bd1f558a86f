"""File names of downloads, made of the name that the client sent. Pure.

The name is untrusted: no path, no control character, no name that a system treats specially leaves this module. The
header has an ASCII name for old clients and the exact one beside it (RFC 6266, RFC 8187).
"""

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

from ingest_service.jobs.media_types import MEDIA_TYPES

MAX_STEM_BYTES = 200  # file systems allow 255 bytes, with the suffix
FORBIDDEN = re.compile(r'[<>:"|?*%\x00-\x1f\x7f]')  # `%`: some clients decode it
DEVICES = re.compile(r"(?i:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?")  # not files on Windows
MEDIA_SUFFIXES = frozenset(suffix for _, suffix in MEDIA_TYPES.values()) | frozenset(
    "aif aifc amrwb asx awb bwf divx f4v loas m1a m2a m2ts m4b m4p m4r m4v mka mp+ mp1 mp2 mp4a mpa mpe mpeg mpga mpp "
    "mts oga ogv ogx opus ra ram rmvb sf snd spx vob wave wma wmv wv 3g2 3ga 3gpp".split()
)
Disposition = Literal["attachment", "inline"]


def audio_name(filename: str | None, job_id: object, suffix: str) -> str:
    """Return the client's own name of the audio. It gets a suffix if it has none of audio or video."""
    name = safe_name(filename)
    if name is None:
        return f"{job_id}.{suffix}"
    stem, dot, own = name.rpartition(".")
    if dot and own.lower() in MEDIA_SUFFIXES:
        return f"{_shortened(stem)}.{own}"
    return f"{_shortened(name)}.{suffix}"


def result_name(filename: str | None, job_id: object, suffix: str) -> str:
    """Return the name of a result: the client's name without its suffix, and the suffix of the result."""
    name = safe_name(filename)
    if name is None:
        return f"{job_id}.{suffix}"
    stem, dot, _ = name.rpartition(".")
    return f"{_shortened(stem if dot else name)}.{suffix}"


def safe_name(filename: str | None) -> str | None:
    """Return the last part of the client's path, fit for a file on any system; None if nothing is left."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", filename or ""))[-1]
    printable = "".join(char for char in last if char.isprintable())
    name = FORBIDDEN.sub("_", printable).strip(" .")
    return f"_{name}" if DEVICES.fullmatch(name) else name or None


def _shortened(stem: str) -> str:
    return stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore").rstrip(" .") or "_"


def content_disposition(kind: Disposition, name: str) -> str:
    """Return the header's value for a name of this module."""
    plain = _ascii(name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{kind}; filename="{plain}"{exact}'


def _ascii(name: str) -> str:
    """Return the name without accents, and `_` for each other character, and for `;`, at which some clients cut."""
    plain = (char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    return FORBIDDEN.sub("_", "".join(char if char.isascii() and char not in "/\\;" else "_" for char in plain))
