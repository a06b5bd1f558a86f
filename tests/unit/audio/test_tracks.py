"""The track with speech is taken, or the one that the client names; the others are listed."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from processor_service.audio.decode import open_source
from processor_service.audio.tracks import TrackChoice, choice_by_speech
from processor_service.errors import AudioError
from shared.schemas.failures import FailureCode
from tests.support.audio.signals import CLIP, Signal, tone

SPEECH, RATE_HZ = soundfile.read(CLIP, dtype="float32")
SILENCE = np.zeros(len(SPEECH), np.float32)
HUM = tone(len(SPEECH) / RATE_HZ, RATE_HZ, 100.0)


def write_tracks(path: Path, *signals: Signal, languages: tuple[str, ...] = ()) -> Path:
    """A film with an audio track for each signal, interleaved."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=25)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        streams: list[AudioStream] = [container.add_stream("aac", rate=RATE_HZ, layout="mono") for _ in signals]
        for stream, language in zip(streams, languages, strict=False):
            stream.metadata["language"] = language
        for start in range(0, len(SPEECH), RATE_HZ):
            for stream, signal in zip(streams, signals, strict=True):
                frame = av.AudioFrame.from_ndarray(signal[np.newaxis, start : start + RATE_HZ], "fltp", "mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
                container.mux(stream.encode(frame))
        container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(video.encode(None))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def opened(path: Path, track: int | None = None) -> tuple[TrackChoice, float]:
    """The choice, and the peak of what is read."""
    with open_source(path, track=track) as source:
        return source.track_choice, float(np.abs(np.concatenate(list(source))).max())


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize("first", [SILENCE, HUM], ids=["silence", "hum"])
def test_a_track_with_speech_is_preferred(tmp_path: Path, kind: str, first: Signal) -> None:
    choice, _ = opened(write_tracks(tmp_path / f"a.{kind}", first, SPEECH))
    assert (choice.number, choice.others) == (1, ())
    assert [one.transcribed for one in choice.listed()] == [False, True]


def test_of_tracks_with_speech_the_main_one_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    choice, _ = opened(write_tracks(tmp_path / "a.mkv", SPEECH, SILENCE, SPEECH))
    assert (choice.number, choice.preferred, choice.others) == (0, None, (2,))


def test_a_named_track_is_taken_whatever_it_holds(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mkv", SPEECH, SILENCE, languages=("eng", "fra"))
    choice, peak = opened(path, 1)
    assert (choice.number, choice.others) == (1, ())
    assert peak < 0.01
    assert opened(path, 0)[1] > 0.1
    assert [(one.number, one.codec, one.language, one.channels) for one in choice.tracks] == [
        (0, "aac", "eng", 1),
        (1, "aac", "fra", 1),
    ]


def test_a_track_that_appears_later_changes_nothing(tmp_path: Path) -> None:
    one = write_tracks(tmp_path / "one.ts", SPEECH).read_bytes()
    two = write_tracks(tmp_path / "two.ts", SPEECH, HUM).read_bytes()
    (tmp_path / "a.ts").write_bytes(one + two)
    with open_source(tmp_path / "a.ts") as source:
        assert sum(map(len, source)) / RATE_HZ == pytest.approx(22, abs=0.3)
        assert source.decode_errors == 0


@pytest.mark.parametrize("name", ["a.mkv", "a.wav", "a.ogg"])
def test_a_track_that_does_not_exist_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.mkv":
        write_tracks(path, SPEECH)
    else:
        soundfile.write(path, SPEECH, RATE_HZ)
    with pytest.raises(AudioError, match="no audio track 3: it has 1") as refusal:
        opened(path, 3)
    assert refusal.value.code is FailureCode.NO_AUDIO_TRACK
    assert opened(path, 0)[0].number == 0


def test_a_file_without_tracks_lists_itself(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", SPEECH, RATE_HZ)
    (track,) = opened(tmp_path / "a.wav")[0].listed()
    assert (track.number, track.codec, track.channels, track.transcribed) == (0, "pcm_16", 1, True)


@pytest.mark.parametrize(
    ("preferred", "speech_s", "number", "others"),
    [
        (0, [0.0, 0.0], 0, ()),
        (0, [0.0, 0.5], 0, ()),  # too little to be sure
        (0, [0.4, 30.0], 1, ()),
        (0, [20.0, 30.0], 0, (1,)),
        (1, [30.0, 1.0, 29.0], 0, (2,)),
        (8, [30.0] * 8, 8, tuple(range(8))),  # was not sampled
    ],
)
def test_speech_decides(preferred: int, speech_s: list[float], number: int, others: tuple[int, ...]) -> None:
    choice = choice_by_speech((), preferred, speech_s)
    assert (choice.number, choice.others) == (number, others)
    assert choice.preferred == (None if number == preferred else preferred)
