"""Detects the container of an upload from its first bytes, not from its name or declared type. Pure.

It decides whether to store the upload; the processor finds out whether it decodes. Playlists (HLS, DASH, PLS), archives
and documents are never audio, because they could lead a decoder to other files. A container that certainly holds no
audio is refused.
"""

from collections.abc import Callable
from typing import Literal

from shared.media.sniff_frames import sniff_frames

MATROSKA_SEGMENT, MATROSKA_CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"  # a cluster holds frames
MOVIE, SOUND, COMPRESSED = b"moov", b"soun", b"cmov"  # ISO base media: header, track's kind, header that hides tracks
PCM = 1


def is_empty(container: str, head: bytes, *, whole: bool) -> bool:
    """Whether a file of this container certainly has no audio. `head` is its first bytes, or all of it if `whole`.

    Only a whole file can lack something; of a longer one only the header counts. Damaged files are left to a decoder.
    """
    if container == "wav":
        return _is_empty_wav(head, whole=whole)
    if not whole:
        return False
    if container in {"webm", "mkv"}:
        return MATROSKA_SEGMENT in head and MATROSKA_CLUSTER not in head
    if container in {"mp4", "m4a", "mov", "3gp"}:
        return MOVIE in head and SOUND not in head and COMPRESSED not in head
    return False


def _is_empty_wav(head: bytes, *, whole: bool) -> bool:
    """Walk the RIFF chunks: `fmt ` must describe samples and `data` must have some."""
    order: Literal["big", "little"] = "big" if head.startswith(b"RIFX") else "little"
    at, described = 12, False
    while at + 8 <= len(head):
        kind, size_bytes = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], order)
        content = head[at + 8 : at + 24]
        if kind == b"data":
            return whole and not content  # not by its size field: an interrupted recorder leaves 0
        if kind == b"fmt " and len(content) == 16:
            coding, channels, bits = (int.from_bytes(content[of : of + 2], order) for of in (0, 2, 14))
            if channels == 0 or (coding == PCM and bits == 0):
                return True
            described = True
        at += 8 + size_bytes + size_bytes % 2
    return whole and described


HEAD_BYTES = 8192  # enough for two frames of every MPEG layer, and for three packets of a transport stream

ACCEPTED = (
    "WAV (also RF64 and W64), AIFF, CAF, AU, FLAC, Ogg (Vorbis, Opus, Speex), MP3, AAC, M4A, MP4, MOV, 3GP, WebM, MKV, "
    "WMA, WavPack, AC-3, AMR, AVI, FLV, MPEG-TS and MPEG-PS"
)

W64_GUID = bytes.fromhex("726966662e91cf11a5d628db04c10000")
ASF_GUID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
OLD_MOV_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"Speex   ", b"\x7fFLAC", b"fishead\x00", b"\x80theora")
TS_PACKET_BYTES = 188


def sniff_container(head: bytes) -> str | None:
    """Return the container's short name (`wav`, `mp3`, `mp4`, …), or None if this is not audio or video.

    `head` is a file's first HEAD_BYTES, or all of a shorter one.
    """
    name = next((name for sniff in SNIFFERS if (name := sniff(head))), None)
    return None if name is None or is_empty(name, head, whole=len(head) < HEAD_BYTES) else name


def _fixed_magic(head: bytes) -> str | None:
    return next((name for magic, name in FIXED_MAGIC if head.startswith(magic) and len(head) > len(magic)), None)


def _riff(head: bytes) -> str | None:
    form = head[8:12]
    if len(head) < 16:  # no chunk header follows
        return None
    if head[:4] in {b"RIFF", b"RIFX"}:
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(form)
    if head[:4] in {b"RF64", b"BW64"} and form == b"WAVE":
        return "rf64"
    return "aiff" if head[:4] == b"FORM" and form in {b"AIFF", b"AIFC"} else None


def _w64(head: bytes) -> str | None:
    return "w64" if head.startswith(W64_GUID) and head[24:28] == b"wave" else None


def _ogg(head: bytes) -> str | None:
    if head[:5] != b"OggS\x00" or len(head) < 28:
        return None
    first_packet = head[27 + head[26] :]  # after the page header and its table of segments
    return "ogg" if first_packet.startswith(OGG_CODECS) else None


def _iso_media(head: bytes) -> str | None:
    """ISO base media (MP4 and relatives), and QuickTime files older than `ftyp`."""
    size, kind = int.from_bytes(head[:4]), head[4:8]
    if kind == b"ftyp":
        return _brand(head[8:12]) if size >= 12 and len(head) >= 12 else None
    plausible = size == 1 or size >= 8  # 1: a 64-bit size follows
    return "mov" if kind in OLD_MOV_ATOMS and plausible and len(head) > 8 else None


def _brand(brand: bytes) -> str | None:
    if brand[:3] in {b"M4A", b"M4B", b"F4A"}:
        return "m4a"
    if brand == b"qt  ":
        return "mov"
    if brand[:3] in {b"3gp", b"3g2", b"3ge", b"3gg"}:
        return "3gp"
    pictures = {b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx "}
    return None if brand in pictures else "mp4"


def _matroska(head: bytes) -> str | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    if b"webm" in head[:64]:
        return "webm"
    return "mkv" if b"matroska" in head[:64] else None


def _transport_stream(head: bytes) -> str | None:
    for offset in (0, 4):  # 4: the time stamp before each m2ts packet
        stride = TS_PACKET_BYTES + offset
        packets = [head[at : at + 1] for at in range(offset, offset + 4 * stride, stride)]
        if packets == [b"G"] * 4:
            return "mpegts"
    return None


def _program_stream(head: bytes) -> str | None:
    pack = head[:4] == b"\x00\x00\x01\xba" and len(head) > 14
    return "mpegps" if pack and (head[4] >> 6 == 0b01 or head[4] >> 4 == 0b0010) else None


FIXED_MAGIC = (
    (b"caff\x00\x01", "caf"),
    (b".snd\x00\x00", "au"),
    (b"fLaC", "flac"),
    (b"wvpk", "wavpack"),
    (b"#!AMR\n", "amr"),
    (b"#!AMR-WB\n", "amr"),
    (b"FLV\x01", "flv"),
    (ASF_GUID, "asf"),
)

SNIFFERS: tuple[Callable[[bytes], str | None], ...] = (
    _riff,
    _fixed_magic,
    _w64,
    _ogg,
    _iso_media,
    _matroska,
    _transport_stream,
    _program_stream,
    sniff_frames,  # last: frames without a container are the hardest to recognize
)
