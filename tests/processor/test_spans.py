import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray
from processor_service.transcribers.scripted import Scripted
from processor_service.transcribers.spans import MAX_SILENCE_S, MAX_SPAN_S, PAD_S, Span, plan_spans, transcribe_spans
from shared.options import JobOptions
from shared.transcript import Transcript


@st.composite
def speech(draw: st.DrawFn) -> list[Span]:
    """Rising regions that do not touch."""
    lengths = draw(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0.1, 60)), max_size=30))
    regions, at_s = [], 0.0
    for silence_s, spoken_s in lengths:
        regions.append((at_s + silence_s, at_s + silence_s + spoken_s))
        at_s += silence_s + spoken_s
    return regions


@given(speech())
def test_spans_hold_all_speech_and_no_long_silence(regions: list[Span]) -> None:
    duration_s = regions[-1][1] + 0.1 if regions else 0.0
    spans = plan_spans(regions, duration_s)

    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= edge <= duration_s for edge in edges)

    for start_s, end_s in regions:
        assert sum(span[0] <= start_s and end_s <= span[1] for span in spans) == 1
    for span in spans:
        inside = [region for region in regions if span[0] <= region[0] and region[1] <= span[1]]
        assert len(inside) == 1 or span[1] - span[0] <= MAX_SPAN_S + 2 * PAD_S
        silences = [later[0] - earlier[1] for earlier, later in itertools.pairwise(inside)]
        assert all(silence_s <= MAX_SILENCE_S for silence_s in silences)


def test_nothing_said_is_no_span() -> None:
    assert plan_spans([], 10.0) == []


def test_each_span_is_told_of_in_the_time_of_the_audio() -> None:
    progress: list[float] = []
    audio = np.zeros(30 * SAMPLE_RATE_HZ, np.float32)

    def transcribe(samples: FloatArray, options: JobOptions) -> Transcript:
        return Scripted().transcribe(samples, options, threads=1)

    parts = transcribe_spans(transcribe, audio, [(2.0, 5.0), (20.0, 22.0)], JobOptions(), progress.append)

    assert [segment.start for part in parts for segment in part.segments] == [2.0, 20.0]
    assert progress == [0.5, 1.0]


def test_the_language_of_the_first_span_is_that_of_all() -> None:
    asked: list[str | None] = []

    def transcribe(samples: FloatArray, options: JobOptions) -> Transcript:
        asked.append(options.language)
        return Transcript(text="ja", language="de", duration=len(samples) / SAMPLE_RATE_HZ, segments=())

    transcribe_spans(transcribe, np.zeros(SAMPLE_RATE_HZ * 9, np.float32), [(0, 3), (3, 6)], JobOptions(), print)

    assert asked == [None, "de"]


@pytest.mark.parametrize("gap_s", [MAX_SILENCE_S + 0.1, MAX_SPAN_S])
def test_a_long_silence_divides(gap_s: float) -> None:
    assert len(plan_spans([(0.0, 1.0), (1.0 + gap_s, 2.0 + gap_s)], 200.0)) == 2
