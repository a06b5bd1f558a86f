"""Detects the container of an upload from its first bytes, not from its name or declared type. Pure.

It decides whether to store the upload; the processor finds out whether it decodes. Playlists (HLS, DASH, PLS), archives
and documents are never audio, because they could lead a decoder to other files. A container that certainly holds no
audio is refused. Tags and junk in front of the audio are skipped.
"""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from shared.media.leading_tags import TAGS, audio_start
from shared.media.sniff_frames import find_frames, starts_with_frames

MATROSKA_SEGMENT, MATROSKA_CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"  # a cluster holds frames
MOVIE, SOUND, COMPRESSED = b"moov", b"soun", b"cmov"  # ISO base media: header, track's kind, header that hides tracks
PCM = 1
MAX_WAV_CHUNKS = 256  # before the data; a false header may promise thousands


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
    for _ in range(MAX_WAV_CHUNKS):
        if at + 8 > len(head):
            return whole and described
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
    return False


HEAD_BYTES = 80 << 10  # enough for 64 kB of padding and the frames behind it
START_BYTES = 8192  # enough for a file without tags or padding, and for a refusal of most others

ACCEPTED = (
    "WAV (also RF64, W64 and XWMA), AIFF, CAF, AU, VOC, SPHERE, IRCAM, 8SVX, FLAC, ALAC, WavPack, Monkey's Audio, TTA, "
    "TAK, Shorten, DSF, DSDIFF, Ogg (Vorbis, Opus, FLAC, Speex), MP3, MP2, MP1, AAC (ADTS, LATM), Musepack, AC-3, "
    "E-AC-3, TrueHD, DTS, ATRAC (OMA), AMR, GSM, QCELP (QCP), DSS, RealAudio, WMA, M4A, MP4, MOV, 3GP, WebM, MKV, AVI, "
    "FLV, MXF, NUT, WTV, MPEG-TS and MPEG-PS"
)

W64_GUID = bytes.fromhex("726966662e91cf11a5d628db04c10000")
ASF_GUID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
OLD_MOV_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # their length, and the bytes of a time stamp before the sync byte
OGG_FIRST_PAGES_BYTES = 1024
OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"Speex   ", b"\x7fFLAC", b"fishead\x00", b"\x80theora")


class Located(NamedTuple):
    """The container, and where it starts in the given bytes or behind them."""

    container: str
    offset: int


def sniff_container(head: bytes) -> str | None:
    """Return the container's short name (`wav`, `mp3`, `mp4`, …), or None if this is not audio or video.

    `head` is a file's first HEAD_BYTES, or all of a shorter one.
    """
    located = locate_container(head)
    return located.container if located else None


def needs_more(head: bytes) -> bool:
    """Whether more bytes of the file could change what `sniff_container` returns."""
    if not START_BYTES <= len(head) < HEAD_BYTES:
        return len(head) < HEAD_BYTES
    start = audio_start(head)
    body = head[start:] if start else head
    return start >= len(head) or not (_container_at_start(body) or is_other_file(body))


def locate_container(head: bytes) -> Located | None:
    """Find the audio behind tags and junk. None if there is none."""
    start = audio_start(head)
    if start + 4 > len(head):  # a tag, with its pictures, may be longer than the given bytes
        return Located("mp3", start) if head.startswith(TAGS) and start else None
    body = head[start:] if start else head
    if name := _container_at_start(body):
        return None if is_empty(name, body, whole=len(head) < START_BYTES) else Located(name, start)
    if is_other_file(body):
        return None
    found = _find_signature(body) or find_frames(body)
    return Located(found[0], start + found[1]) if found else None


def _container_at_start(body: bytes) -> str | None:
    return next((name for sniff in SNIFFERS if (name := sniff(body))), None)


def _find_signature(body: bytes) -> tuple[str, int] | None:
    """Find a lossless file behind junk: frames are not searched in its samples."""
    for name, magic, signature in LATE_SIGNATURES:
        at = body.find(magic)
        if at >= 0 and (match := signature.search(body, at, at + SIGNATURE_SEARCH_BYTES)):
            return name, match.start()
    return None


def is_other_file(body: bytes) -> bool:
    """Whether this is a document, an archive, a program, a picture or a text. Sounds inside are not searched."""
    return (
        body.startswith(OTHER_FILES) or body[257:262] == b"ustar" or not body[:TEXT_SAMPLE_BYTES].translate(None, TEXT)
    )


def _fixed_magic(head: bytes) -> str | None:
    if not head.startswith(MAGICS):  # faster than one after the other
        return None
    return next((name for magic, name in FIXED_MAGIC if head.startswith(magic) and len(head) > len(magic)), None)


def _riff(head: bytes) -> str | None:
    form = head[8:12]
    if len(head) < 16:  # no chunk header follows
        return None
    if head[:4] in {b"RIFF", b"RIFX"}:
        return {b"WAVE": "wav", b"AVI ": "avi", b"XWMA": "xwma", b"QLCM": "qcp"}.get(form)
    if head[:4] in {b"RF64", b"BW64"} and form == b"WAVE":
        return "rf64"
    return (
        {b"AIFF": "aiff", b"AIFC": "aiff", b"8SVX": "8svx", b"16SV": "8svx"}.get(form) if head[:4] == b"FORM" else None
    )


def _w64(head: bytes) -> str | None:
    return "w64" if head.startswith(W64_GUID) and head[24:28] == b"wave" else None


def _ogg(head: bytes) -> str | None:
    if head[:5] != b"OggS\x00" or len(head) < 28:
        return None
    first_packet = head[27 + head[26] :]  # after the page header and its table of segments
    if first_packet.startswith(OGG_CODECS):
        return "ogg"
    first_pages = head[:OGG_FIRST_PAGES_BYTES]  # of all streams: that of an unknown video may precede that of the sound
    return "ogg" if any(codec in first_pages for codec in OGG_CODECS) else None


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
    for packet_bytes, before in TS_PACKETS:
        if head[before : before + 4 * packet_bytes : packet_bytes] == b"GGGG":
            return "mpegts"
    return None


def _program_stream(head: bytes) -> str | None:
    pack = head[:4] == b"\x00\x00\x01\xba" and len(head) > 14
    return "mpegps" if pack and (head[4] >> 6 == 0b01 or head[4] >> 4 == 0b0010) else None


def _late_magic(head: bytes) -> str | None:
    """Sync words and identifiers that follow a length or a time."""
    return "truehd" if head[4:7] == b"\xf8\x72\x6f" and head[7:8] in {b"\xba", b"\xbb"} else None


FIXED_MAGIC = (
    (b"caff\x00\x01", "caf"),
    (b".snd\x00\x00", "au"),
    (b"fLaC", "flac"),
    (b"wvpk", "wavpack"),
    (b"#!AMR\n", "amr"),
    (b"#!AMR-WB\n", "amr"),
    (b"FLV\x01", "flv"),
    (ASF_GUID, "asf"),
    (b"TTA1", "tta"),
    (b"MAC ", "ape"),
    (b"MPCK", "mpc"),
    (b"MP+", "mpc"),
    (b"tBaK", "tak"),
    (b"DSD \x1c\x00\x00\x00", "dsf"),
    (b"FRM8\x00\x00", "dff"),
    (b".RMF\x00\x00", "rm"),
    (b".ra\xfd\x00", "rm"),
    (b"Creative Voice File\x1a", "voc"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "mxf"),
    (b"NIST_1A\n", "sph"),
    (b"\x02dss", "dss"),
    (b"\x03dss", "dss"),
    (b"DTSHDHDR", "dts"),
    (b"\x7f\xfe\x80\x01", "dts"),
    (b"\xfe\x7f\x01\x80", "dts"),
    (b"\x1f\xff\xe8\x00\x07", "dts"),
    (b"\xff\x1f\x00\xe8\xf1", "dts"),
    (b"EA3\x01\x00", "oma"),
    (b"ea3\x03\x00", "oma"),
    (b"ajkg", "shn"),
    *((bytes((0x64, 0xA3, machine, 0)), "ircam") for machine in (1, 2, 3, 4)),
    *((bytes((0, machine, 0xA3, 0x64)), "ircam") for machine in (1, 2, 3, 4)),
    (b"nut/multimedia container\x00", "nut"),
    (bytes.fromhex("b7d800203749da11a64e0007e95ead8d"), "wtv"),
)

MAGICS = tuple(magic for magic, _ in FIXED_MAGIC)

SNIFFERS: tuple[Callable[[bytes], str | None], ...] = (
    _riff,
    _fixed_magic,
    _w64,
    _ogg,
    _iso_media,
    _matroska,
    _transport_stream,
    _program_stream,
    _late_magic,
    starts_with_frames,  # last: frames without a container are the hardest to recognize
)

SIGNATURE_SEARCH_BYTES = 8192  # behind the first magic number: a regular expression is slow
LATE_SIGNATURES = (
    ("flac", b"fLaC", re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")),
    ("wav", b"RIFF", re.compile(rb"RIFF.{4}WAVE[ -~]{4}", re.DOTALL)),
    ("ogg", b"OggS", re.compile(rb"OggS\x00\x02.{20}\x01.(?:\x01vorbis|OpusHead|Speex   |\x7fFLAC)", re.DOTALL)),
)

TEXT_SAMPLE_BYTES = 512
TEXT = bytes({*b"\t\n\r\f\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)})
OTHER_FILES = (
    b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd",
    b"MSCF", b"!<arch>", b"SQLite format 3", b"%PDF", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"\xff\xfe<\x00", b"\xfe\xff\x00",
    b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\x00asm", b"#!",
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"8BPS", b"wOF", b"\x00\x01\x00\x00\x00",
)  # fmt: skip
