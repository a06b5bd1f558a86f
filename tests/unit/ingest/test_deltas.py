"""The deltas of a stream are together the final text; windows come in order of time."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.openai_api.stream import Deltas, StreamEnd, StreamSegment
from shared.schemas.windows import Window, WindowSegment
from shared.unspaced import joined_text
from shared.window_feed import WindowOrder

TEXTS = st.lists(st.sampled_from(["Hello there.", "你好。", "「はい」", "42", "Grüße, Zoë!", "สวัสดี", ""]), max_size=8)


def _end(texts: list[str]) -> StreamEnd:
    segments = tuple(
        StreamSegment(id=str(number), start=float(number), end=number + 1.0, text=text)
        for number, text in enumerate(texts)
    )
    return StreamEnd(text=joined_text(texts), segments=segments, usage={"type": "duration", "seconds": len(texts)})


def _windows(texts: list[str]) -> list[WindowSegment]:
    return [WindowSegment(start=float(number), end=number + 1.0, text=text) for number, text in enumerate(texts)]


@given(TEXTS, st.integers(0, 8), st.integers(0, 8))
def test_deltas_are_together_the_final_text(texts: list[str], first: int, second: int) -> None:
    segments, deltas = _windows(texts), Deltas()
    first, second = sorted((first, second))

    sent = [deltas.add(segments[:first]), deltas.add(segments[first:second]), deltas.rest(_end(texts))]

    assert "".join(sent) == joined_text(texts)


@given(st.lists(st.sampled_from(["word " * 9, "你好。", "42. " * 12, "...", "「はい」" * 9]), max_size=20))
def test_long_texts_are_joined_as_the_whole_text_is(texts: list[str]) -> None:
    deltas = Deltas()

    assert "".join(deltas.add([one]) for one in _windows(texts)) == joined_text(texts)


@pytest.mark.parametrize(
    ("texts", "sent"), [(["One.", "Two."], ["One.", " Two."]), (["你好。", "再见。"], ["你好。", "再见。"])]
)
def test_a_blank_begins_the_delta_that_needs_one(texts: list[str], sent: list[str]) -> None:
    deltas = Deltas()

    assert [deltas.add([one]) for one in _windows(texts)] == sent


def test_the_rest_follows_in_time_when_the_beginning_was_changed() -> None:
    deltas = Deltas()
    deltas.add(_windows(["Hallo.", "Two."]))

    assert deltas.rest(_end(["Hello.", "Two.", "Three."])) == " Three."


def test_windows_of_a_chunk_wait_for_the_end_of_earlier_chunks() -> None:
    order = WindowOrder()
    later, later_end = Window(chunk=1, number=0), Window(chunk=1, number=1, is_last=True)
    first, first_end = Window(chunk=0, number=0), Window(chunk=0, number=1, is_last=True)

    assert [order.add(one) for one in (later, first, later_end)] == [[], [first], []]
    assert order.add(first_end) == [first_end, later, later_end]
    assert order.add(Window(chunk=2, number=0)) == [Window(chunk=2, number=0)]


def test_windows_of_another_attempt_are_given_once() -> None:
    order = WindowOrder()
    windows = [Window(number=number, is_last=number == 2) for number in range(3)]

    given = [order.add(one) for one in (*windows[:2], *windows, *windows)]

    assert [window for some in given for window in some] == windows


def test_lost_windows_do_not_stop_later_ones() -> None:
    order = WindowOrder()

    assert order.add(Window(number=3)) == [Window(number=3)]
    assert order.add(Window(number=2)) == []


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_chunks_that_run_at_once_are_given_in_order(lengths: list[int], dice: Random) -> None:
    chunks = [
        [Window(chunk=chunk, number=number, is_last=number == length - 1) for number in range(length)]
        for chunk, length in enumerate(lengths)
    ]
    order, given, left = WindowOrder(), list[Window](), [list(one) for one in chunks]
    while any(left):
        given += order.add(dice.choice([one for one in left if one]).pop(0))

    assert given == [window for chunk in chunks for window in chunk]
