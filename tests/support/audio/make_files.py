"""Audio files in memory, as their bytes."""

import io
import struct

import av
import numpy as np
import numpy.typing as npt
import soundfile
from av.audio.stream import AudioStream

from tests.support.audio.signals import Signal, tone

RATE_HZ = 16_000
DSD_RATE_HZ = 2_822_400


def encoded(container: str, codec: str, signal: Signal, rate_hz: int, options: dict[str, str] | None = None) -> bytes:
    """Encode mono with FFmpeg's libraries."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.codec_context.bit_rate = 12_200 if "amr" in codec else 64_000
        stream.codec_context.options = {"strict": "experimental"}
        output.start_encoding()
        frame = av.AudioFrame.from_ndarray(signal[np.newaxis], "fltp", "mono")
        frame.sample_rate = rate_hz
        frame_size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.format, "mono", rate_hz, frame_size=frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux([packet for packet in stream.encode(None) if packet.size])  # FLAC ends with an empty packet
    return file.getvalue()


def written(format_name: str, subtype: str, signal: Signal, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    """Write with libsndfile."""
    file = io.BytesIO()
    samples = np.repeat(signal[:, np.newaxis], channels, axis=1)
    soundfile.write(file, samples, rate_hz, format=format_name, subtype=subtype)
    return file.getvalue()


def wav_of(duration_s: float, hz: float = 440.0, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    return written("WAV", "PCM_16", tone(duration_s, rate_hz, hz), rate_hz, channels)


def flac_of(duration_s: float, hz: float = 440.0, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    return written("FLAC", "PCM_16", tone(duration_s, rate_hz, hz), rate_hz, channels)


def piped(flac: bytes) -> bytes:
    """The FLAC as an encoder writes it to a pipe: without the number of samples and the MD5 sum of all."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + bytes(16) + flac[42:]


def with_size(wav: bytes, data_bytes: int) -> bytes:
    """The WAV with another size of its data in the header."""
    return wav[:40] + struct.pack("<I", data_bytes) + wav[44:]


def gsm(frames: int) -> bytes:
    """GSM 06.10 frames of noise."""
    content = bytearray(np.random.default_rng(2).bytes(33 * frames))
    for at in range(0, len(content), 33):
        content[at] = 0xD0 | content[at] & 0x0F
    return bytes(content)


def amr_wb(frames: int) -> bytes:
    """AMR-WB frames of noise, 20 ms each."""
    rng = np.random.default_rng(2)
    return b"#!AMR-WB\n" + b"".join(b"\x44" + rng.bytes(60) for _ in range(frames))


def mpeg_layer_1(frames: int) -> bytes:
    """Silent frames of 8 ms: 48 kHz, 128 kbit/s."""
    return (b"\xff\xff\x44\xc0" + bytes(124)) * frames


DTS_FRAME_BYTES = 1024
DTS_FRAME = (  # ETSI TS 102 114: values and their lengths in bits
    # Sync word, type, samples, no checksum, 512 samples, length, mono, 48 kHz, bit rate, nine flags, prediction,
    # interpolation, version and below: none.
    (0x7FFE8001, 32), (1, 1), (31, 5), (0, 1), (15, 7), (DTS_FRAME_BYTES - 1, 14), (0, 6), (13, 4), (15, 5), (0, 13),
    (1, 1), (7, 4), (0, 11),
    # One subframe and channel, two subbands, code books, scales.
    (0, 7), (0, 5), (1, 5), (0, 5), (5, 3), (5, 3), (1, 1), *[(3, 2)] * 4, *[(7, 3)] * 5,
    # Two parts without prediction and bits, then their end.
    (1, 2), (0, 5), (0, 8), (0xFFFF, 16),
)  # fmt: skip


def dts(frames: int) -> bytes:
    """Silent frames of 512 samples at 48 kHz."""
    bits = "".join(format(value, f"0{length}b") for value, length in DTS_FRAME).ljust(8 * DTS_FRAME_BYTES, "0")
    return int(bits, 2).to_bytes(DTS_FRAME_BYTES) * frames


def _one_bit(signal: Signal, rate_hz: int) -> npt.NDArray[np.uint8]:
    """DSD by a first-order delta-sigma modulator."""
    held = np.repeat(signal, DSD_RATE_HZ // rate_hz)
    bits, error = np.zeros(len(held) // 32768 * 32768, np.uint8), 0.0
    for index in range(len(bits)):
        bits[index] = error + held[index] > 0
        error += held[index] - (2.0 * bits[index] - 1.0)
    return bits


def dsf(signal: Signal, rate_hz: int) -> bytes:
    bits = _one_bit(signal, rate_hz)
    data = np.packbits(bits, bitorder="little").tobytes()
    layout = struct.pack("<IIIIIIQII", 1, 0, 1, 1, DSD_RATE_HZ, 1, len(bits), 4096, 0)
    head = struct.pack("<4sQQQ", b"DSD ", 28, 28 + 52 + 12 + len(data), 0)
    return head + struct.pack("<4sQ", b"fmt ", 52) + layout + struct.pack("<4sQ", b"data", 12 + len(data)) + data


def dsdiff(signal: Signal, rate_hz: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">Q", len(content)) + content

    properties = b"SND " + chunk(b"FS  ", struct.pack(">I", DSD_RATE_HZ)) + chunk(b"CHNL", b"\x00\x01C   ")
    properties += chunk(b"CMPR", b"DSD \x0enot compressed\x00")
    data = np.packbits(_one_bit(signal, rate_hz)).tobytes()
    content = chunk(b"FVER", b"\x01\x05\x00\x00") + chunk(b"PROP", properties) + chunk(b"DSD ", data)
    return chunk(b"FRM8", b"DSD " + content)


def id3(content_bytes: int = 1000, *, footer: bool = False) -> bytes:
    size = bytes(content_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    flags = b"\x04\x00\x10" if footer else b"\x04\x00\x00"
    return b"ID3" + flags + size + b"x" * content_bytes + (b"3DI" + flags + size if footer else b"")


def ape_tag(content_bytes: int = 100) -> bytes:
    edge = struct.pack("<8sIII", b"APETAGEX", 2000, content_bytes + 32, 1)
    return edge + struct.pack("<I8x", 0xA0000000) + b"x" * content_bytes + edge + struct.pack("<I8x", 0x80000000)


ID3V1 = b"TAG" + b"x" * 125
