"""Sound is where the file's own clock has it, whatever the container."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from processor_service.audio.decode import open_source
from processor_service.audio.media_clock import ClockReport
from tests.support.audio.films import Stamp, write_film
from tests.support.audio.signals import CLIP, tone

RATE_HZ = 48_000
SOUND = tone(6.0, RATE_HZ)
VIDEOS = ["mp4", "mov", "mkv", "webm", "ts", "flv", "mpg", "ogv"]
WRAP_S = 2**33 / 90_000


def heard(path: Path, max_audio_s: float = 3600) -> tuple[list[tuple[float, float]], float, ClockReport]:
    """The loud spans and the length, in seconds, and the report."""
    with open_source(path, max_audio_s=max_audio_s) as source:
        signal = np.concatenate(list(source))[:, 0]
        report = source.clock_report
    hop = RATE_HZ // 20
    loud = np.abs(signal[: len(signal) // hop * hop]).reshape(-1, hop).max(axis=1) > 0.05
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int))) / 20
    return list(zip(edges[::2], edges[1::2], strict=True)), len(signal) / RATE_HZ, report


def near(*spans: tuple[float, float]) -> list[object]:
    return [pytest.approx(span, abs=0.15) for span in spans]


def gap(at_s: float) -> float:
    return at_s if at_s < 3 else at_s + 5


@pytest.mark.parametrize("kind", VIDEOS)
def test_a_sound_track_that_begins_late(tmp_path: Path, kind: str) -> None:
    path = write_film(tmp_path / f"a.{kind}", SOUND, stamp=lambda at_s: at_s + 4, video_s=12)
    spans, length_s, report = heard(path)
    assert spans == near((4, 10))
    assert length_s == pytest.approx(12, abs=0.2 if kind != "mpg" else 1.5)  # of a program stream, FFmpeg finds no end
    assert report == ClockReport()


def test_a_sound_track_that_begins_after_ten_minutes(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", SOUND, stamp=lambda at_s: at_s + 600, video_s=610)
    assert heard(path)[0] == near((600, 606))


@pytest.mark.parametrize("origin_s", [0, 3600])
@pytest.mark.parametrize("kind", VIDEOS)
def test_a_gap_is_silence_and_reported(tmp_path: Path, kind: str, origin_s: int) -> None:
    path = write_film(
        tmp_path / f"a.{kind}", SOUND, stamp=lambda at_s: gap(at_s) + origin_s, video_s=12, video_from_s=origin_s
    )
    spans, _, report = heard(path)
    assert spans == near((0, 3), (8, 11))
    assert report.missing == near((3, 8))


@pytest.mark.parametrize(
    "stamp",
    [lambda at_s: None if 2 < at_s < 3.5 else at_s, lambda at_s: at_s if at_s < 2 else at_s - 0.5],
    ids=["lost packets", "overlap"],
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "flv"])
def test_the_end_is_where_the_time_stamps_have_it(tmp_path: Path, kind: str, stamp: Stamp) -> None:
    spans, _, _ = heard(write_film(tmp_path / f"a.{kind}", SOUND, stamp=stamp))
    assert spans[-1][1] == pytest.approx(5.5 if len(spans) == 1 else 6.0, abs=0.15)


@pytest.mark.parametrize("before_wrap_s", [1.5, 4.0, 20.0])
def test_the_clock_of_a_transport_stream_wraps(tmp_path: Path, before_wrap_s: float) -> None:
    origin_s = WRAP_S - before_wrap_s
    path = write_film(tmp_path / "a.ts", SOUND, stamp=lambda at_s: gap(at_s) + origin_s)
    assert heard(path)[0] == near((0, 3), (8, 11))


def test_joined_transport_streams_are_read_one_after_the_other(tmp_path: Path) -> None:
    plain = write_film(tmp_path / "plain.ts", SOUND).read_bytes()
    with_gap = write_film(tmp_path / "gap.ts", SOUND, stamp=gap).read_bytes()
    (tmp_path / "a.ts").write_bytes(plain + with_gap)
    spans, _, report = heard(tmp_path / "a.ts")
    assert spans == near((0, 9), (14, 17))
    assert report.ignored == [pytest.approx(6, abs=0.1)]


@pytest.mark.parametrize(
    "stamp",
    [lambda at_s: at_s if at_s < 3 else at_s + 7200, lambda at_s: at_s + 500 if 2 < at_s < 2.03 else at_s],
    ids=["two hours", "one packet"],
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "flv"])
def test_absurd_time_stamps_are_not_believed(tmp_path: Path, kind: str, stamp: Stamp) -> None:
    spans, length_s, _ = heard(write_film(tmp_path / f"a.{kind}", SOUND, stamp=stamp))
    assert spans == near((0, 6))
    assert length_s == pytest.approx(6, abs=0.1)


def test_silence_is_not_longer_than_the_longest_audio(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.ts", SOUND, stamp=lambda at_s: at_s if at_s < 3 else at_s + 50)
    assert heard(path, max_audio_s=60)[0] == near((0, 3), (53, 56))
    assert heard(path, max_audio_s=50)[0] == near((0, 6))


@pytest.mark.parametrize("kind", ["ts", "mkv", "webm", "mp4", "flv", "mp3", "ac3", "ogg"])
def test_what_follows_a_damaged_middle_keeps_its_time(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    noisy = (0.7 * SOUND + 0.05 * rng.standard_normal(len(SOUND))).astype(np.float32)
    codec = {"mp3": "libmp3lame", "ac3": "ac3"}.get(kind)
    path = write_film(tmp_path / f"a.{kind}", noisy, codec=codec)
    content = bytearray(path.read_bytes())
    start, end = len(content) * 2 // 5, len(content) * 3 // 5
    content[start:end] = rng.bytes(end - start)
    path.write_bytes(content)
    spans, _, report = heard(path)
    assert spans[-1][1] == pytest.approx(6, abs=0.15)
    assert len(spans) == 2
    assert report.missing == [pytest.approx((spans[0][1], spans[1][0]), abs=0.15)]


@pytest.mark.parametrize("kind", ["mkv", "webm", "flv", "ts"])
def test_a_truncated_film_ends_where_it_is_cut(tmp_path: Path, kind: str) -> None:
    path = write_film(tmp_path / f"a.{kind}", SOUND, video_s=30)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    spans, length_s, _ = heard(path)
    assert length_s < 20
    assert spans[0][0] == 0


def test_sound_that_is_sent_again_is_heard_once(tmp_path: Path) -> None:
    speech, rate_hz = soundfile.read(CLIP, dtype="float32")
    whole = write_film(tmp_path / "whole.ts", speech, rate_hz).read_bytes()
    packet_bytes = 188
    cut, again = (len(whole) * share // 10 // packet_bytes * packet_bytes for share in (7, 3))
    (tmp_path / "a.ts").write_bytes(whole[:cut] + whole[again:])
    with open_source(tmp_path / "a.ts") as source:
        assert sum(map(len, source)) / rate_hz == pytest.approx(11, abs=0.2)
        assert source.clock_report == ClockReport()
