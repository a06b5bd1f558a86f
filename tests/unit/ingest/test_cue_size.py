"""For every transcript: cues keep their size, every word is shown once and in order, times increase."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.formats.srt import render_srt
from shared.schemas.transcript import Segment, Transcript, Word
from shared.subtitles.cue_size import CueSize
from shared.subtitles.cues import Cue, make_cues
from shared.subtitles.display_width import display_width

LETTERS = st.text("abcXYZé,.?!-—'\"0 ", min_size=1, max_size=60)
WIDE = st.text("日本語のじまくはーっ、。「」ABC 12ไทยเ้", min_size=1, max_size=80)
ANYTHING = st.text(min_size=1, max_size=40)
TEXTS = st.one_of(LETTERS, WIDE, ANYTHING, st.just("Donaudampfschifffahrtsgesellschaftskapitänsmützen" * 2))
SECONDS = st.floats(0, 20, allow_nan=False)
SPEAKERS = st.sampled_from([None, "A", "SPEAKER_01", "Dr. No"])


@st.composite
def _segments(draw: st.DrawFn) -> Segment:
    """Times in any order, and words that may differ from the text."""
    text = draw(TEXTS)
    words_said = text.split() if draw(st.booleans()) else draw(st.lists(TEXTS, max_size=5))
    words = [Word(word=word, start=draw(SECONDS), end=draw(SECONDS), confidence=1.0) for word in words_said]
    start_s = draw(SECONDS)
    return Segment(
        id=0,
        start=start_s,
        end=start_s + draw(SECONDS),
        text=text,
        speaker=draw(SPEAKERS),
        channel=draw(st.sampled_from([None, 0, 1])),
        confidence=1.0,
        no_speech_prob=0.0,
        words=tuple(words) if draw(st.booleans()) else (),
    )


TRANSCRIPTS = st.builds(
    Transcript,
    text=st.just(""),
    language=st.sampled_from(["en", "ja", None, "xx"]),
    duration=SECONDS,
    segments=st.lists(_segments(), max_size=6).map(tuple),
)
SIZES = st.builds(CueSize, max_chars=st.integers(10, 60), max_lines=st.integers(1, 4), max_seconds=st.floats(1, 10))


def _bare(text: str) -> str:
    return "".join(text.split())


def _shown(cues: list[Cue]) -> str:
    return _bare("".join(line for cue in cues for line in cue.lines))


def _channels(transcript: Transcript) -> list[list[Segment]]:
    numbers = {segment.channel for segment in transcript.segments}
    return [[segment for segment in transcript.segments if segment.channel == number] for number in numbers]


@given(TRANSCRIPTS, SIZES)
def test_every_cue_keeps_its_size(transcript: Transcript, size: CueSize) -> None:
    for cue in make_cues(transcript, size):
        assert 1 <= len(cue.lines) <= size.max_lines
        assert all(_bare(line) and display_width(line) <= size.max_chars for line in cue.lines)
        assert 0 < cue.end_ms - cue.start_ms <= size.max_seconds * 1000


@given(TRANSCRIPTS, SIZES)
def test_every_word_is_shown_once_and_in_order(transcript: Transcript, size: CueSize) -> None:
    for segments in _channels(transcript):
        alone = Transcript(text="", language=transcript.language, duration=99, segments=tuple(segments))
        cues = make_cues(alone, size)
        assert _shown(cues).replace("→", "-->") == _bare("".join(one.text for one in segments)).replace("→", "-->")


@given(TRANSCRIPTS, SIZES)
def test_times_rise_and_no_two_cues_of_a_channel_overlap(transcript: Transcript, size: CueSize) -> None:
    starts = [cue.start_ms for cue in make_cues(transcript, size)]
    assert starts == sorted(starts)
    for segments in _channels(transcript):
        alone = Transcript(text="", language=None, duration=transcript.duration, segments=tuple(segments))
        assert all(before.end_ms <= after.start_ms for before, after in pairwise(make_cues(alone, size)))


@given(TRANSCRIPTS, SIZES)
def test_a_cue_has_one_speaker(transcript: Transcript, size: CueSize) -> None:
    for speaker in {segment.speaker for segment in transcript.segments}:
        theirs = [cue for cue in make_cues(transcript, size) if cue.speaker == speaker]
        spoken = "".join(segment.text for segment in transcript.segments if segment.speaker == speaker)
        assert sorted(_shown(theirs).replace("→", "-->")) == sorted(_bare(spoken).replace("→", "-->"))


@given(TRANSCRIPTS, SIZES)
def test_speaker_names_fit_into_the_first_line(transcript: Transcript, size: CueSize) -> None:
    for block in render_srt(transcript, size).split("\n\n"):
        lines = block.strip("\n").split("\n")[2:]
        assert len(lines) <= size.max_lines
        assert all(display_width(line) <= size.max_chars for line in lines)
