"""A chunk sends the text of its core: each segment once, the rest at the end."""

from processor_service.compute.messages import WindowTranscribed
from processor_service.compute.stream_chunk import ChunkStream
from processor_service.transcribers.replacements import Replacements
from processor_service.transcribers.transcriber import Span, shifted_segment, word
from shared.schemas.transcript import Segment
from shared.schemas.windows import WindowSegment


def _segment(text: str, start_s: float) -> Segment:
    """A word a second."""
    words = tuple(word(one, start_s + n, start_s + n + 0.9, 0.9) for n, one in enumerate(text.split()))
    return Segment(id=0, start=start_s, end=words[-1].end, text=text, confidence=0.9, no_speech_prob=0.0, words=words)


def _sent(core: Span, start_s: float, early: list[Segment], whole: list[Segment]) -> list[list[str]]:
    sent: list[WindowTranscribed] = []
    stream = ChunkStream(sent.append, core, start_s, Replacements({}))
    stream.add(early)
    stream.end([shifted_segment(one, start_s) for one in whole])
    assert [one.is_last for one in sent] == [False] * (len(sent) - 1) + [True]
    return [[segment.text for segment in one.segments] for one in sent]


def test_each_segment_is_sent_once() -> None:
    whole = [_segment("a b", 0.0), _segment("c d", 2.0), _segment("e f", 4.0)]

    assert _sent((0.0, 6.0), 0.0, whole[:2], whole) == [["a b", "c d"], ["e f"]]
    assert _sent((0.0, 6.0), 0.0, [], whole) == [["a b", "c d", "e f"]]
    assert _sent((0.0, 6.0), 0.0, whole, whole) == [["a b", "c d", "e f"], []]


def test_words_beyond_a_cut_are_left_to_the_neighbours() -> None:
    whole = [_segment("a b c", 0.0), _segment("d e f", 3.0), _segment("g h", 6.0)]

    assert _sent((11.0, 15.0), 10.0, whole[:1], whole) == [["b c"], ["d e"]]


def test_times_are_those_of_the_source() -> None:
    sent: list[WindowTranscribed] = []
    ChunkStream(sent.append, (600.0, 610.0), 600.0, Replacements({})).add([_segment("a b", 1.0)])

    assert sent == [WindowTranscribed(segments=(WindowSegment(start=601.0, end=602.9, text="a b"),))]


def test_a_segment_without_words_belongs_to_the_chunk_of_its_middle() -> None:
    segment = Segment(id=0, start=8.0, end=11.0, text="a b", confidence=0.9, no_speech_prob=0.0)

    assert _sent((0.0, 10.0), 0.0, [], [segment]) == [["a b"]]
    assert _sent((10.0, 20.0), 0.0, [], [segment]) == [[]]
