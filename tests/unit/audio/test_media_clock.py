"""Time stamps place sounds if they can be believed; no sound is lost if they cannot."""

import random
from collections.abc import Callable, Iterable

import pytest

from processor_service.audio.media_clock import MAX_REPORTED, ClockReport, MediaClock, Play, Silence, Sound

FRAME_S = 0.02


def sounds(starts_s: Iterable[float | None]) -> list[Sound[int]]:
    return [Sound(content=number, start_s=start_s, length_s=FRAME_S) for number, start_s in enumerate(starts_s)]


def placed(
    starts_s: Iterable[float | None], origin_s: float = 0.0, limit_s: float | None = None
) -> tuple[list[tuple[int, float]], MediaClock[int]]:
    """Each played content with its position; what is cut completely is absent."""
    clock: MediaClock[int] = MediaClock(origin_s=origin_s, limit_s=limit_s)
    position_s, result = 0.0, []
    for step in clock.place(sounds(starts_s)):
        if isinstance(step, Silence):
            position_s += step.length_s
            continue
        result.append((step.content, position_s))
        position_s += FRAME_S - step.cut_s
    assert clock.position_s == pytest.approx(position_s)
    return result, clock


def steady(count: int, at_s: Callable[[float], float | None] = lambda at_s: at_s) -> list[float | None]:
    return [at_s(number * FRAME_S) for number in range(count)]


def test_sounds_in_time_are_played_one_after_the_other() -> None:
    result, clock = placed(steady(200))
    assert [number for number, _ in result] == list(range(200))
    assert clock.position_s == pytest.approx(4.0)
    assert clock.report == ClockReport()


def test_a_gap_becomes_silence_and_is_reported() -> None:
    result, clock = placed(steady(200, lambda at_s: at_s if at_s < 2 else at_s + 6))
    assert dict(result)[100] == pytest.approx(8.0)
    assert clock.report.missing == [pytest.approx((2.0, 8.0))]


def test_a_late_start_becomes_silence_that_is_not_missing() -> None:
    result, clock = placed(steady(50, lambda at_s: at_s + 604), origin_s=4.0)
    assert result[0] == pytest.approx((0, 600.0))
    assert clock.report.missing == []


def test_an_overlap_is_cut() -> None:
    result, clock = placed(steady(200, lambda at_s: at_s if at_s < 2 else at_s - 0.5))
    assert clock.position_s == pytest.approx(3.5)
    assert dict(result)[199] == pytest.approx(3.48)
    assert len(result) == 175


@pytest.mark.parametrize("back_s", [2.0, 90.0, 95_443.7])
def test_a_clock_that_goes_back_loses_no_sound(back_s: float) -> None:
    result, clock = placed(steady(200, lambda at_s: at_s if at_s < 2 else at_s - back_s))
    assert len(result) == 200
    assert clock.position_s == pytest.approx(4.0)
    assert clock.report.ignored == [pytest.approx(2.0)]


@pytest.mark.parametrize("jump_s", [3_700.0, 95_443.7, 1e12])
def test_a_jump_of_hours_is_not_believed(jump_s: float) -> None:
    result, clock = placed(steady(200, lambda at_s: at_s if at_s < 2 else at_s + jump_s))
    assert clock.position_s == pytest.approx(4.0)
    assert (len(result), len(clock.report.ignored)) == (200, 1)


def test_a_gap_beyond_the_length_of_the_file_is_not_believed() -> None:
    assert placed(steady(200, lambda at_s: at_s if at_s < 2 else at_s + 6), limit_s=7.9)[1].position_s < 5
    assert placed(steady(200, lambda at_s: at_s if at_s < 2 else at_s + 6), limit_s=8.1)[1].position_s > 9


def test_after_a_jump_that_was_not_believed_gaps_count_again() -> None:
    jumping = steady(300, lambda at_s: at_s if at_s < 2 else at_s + 9000 if at_s < 4 else at_s + 9003)
    assert placed(jumping)[1].position_s == pytest.approx(9.0)


@pytest.mark.parametrize("wrong_s", [500.0, -500.0, 3.0, 1e15])
def test_single_wrong_time_stamps_change_nothing(wrong_s: float) -> None:
    starts = steady(200)
    starts[100] = starts[150] = wrong_s
    result, clock = placed(starts)
    assert len(result) == 200
    assert clock.position_s == pytest.approx(4.0)


@pytest.mark.parametrize("constant_s", [0.0, 5.0, None])
def test_constant_or_missing_time_stamps_lose_no_sound(constant_s: float | None) -> None:
    result, clock = placed([constant_s] * 500)
    assert len(result) == 500
    assert clock.position_s == pytest.approx(10.0, abs=5.1)


def test_random_time_stamps_lose_no_sound() -> None:
    random_source = random.Random(1)
    result, clock = placed([random_source.uniform(0, 3000) for _ in range(500)])
    assert len(result) == 500
    assert clock.position_s == pytest.approx(10.0)


def test_jitter_is_ignored_and_does_not_add_up() -> None:
    random_source = random.Random(1)
    rounded = placed(steady(5000, lambda at_s: round(at_s, 3)))[1]
    shaken = placed(steady(5000, lambda at_s: at_s + random_source.uniform(-0.05, 0.05)))[1]
    for clock in (rounded, shaken):
        assert clock.position_s == pytest.approx(100.0)
        assert clock.report == ClockReport()


def test_a_clock_that_is_slightly_fast_is_followed() -> None:
    result, _ = placed(steady(50_000, lambda at_s: at_s * 1.001))
    assert all(position_s == pytest.approx(number * FRAME_S * 1.001, abs=0.12) for number, position_s in result)


def test_the_last_sounds_after_a_gap_need_less_proof() -> None:
    result, _ = placed([*steady(100), 7.0, 7.02])
    assert dict(result)[100] == pytest.approx(7.0)
    assert dict(placed([*steady(100), 7.0])[0])[100] == pytest.approx(2.0)
    assert dict(placed([*steady(100), 70.0, 70.02])[0])[100] == pytest.approx(2.0)


def test_reports_of_parts_are_added_and_bounded() -> None:
    part, whole = ClockReport(missing=[(1.0, 2.0)], ignored=[3.0]), ClockReport()
    for _ in range(MAX_REPORTED + 5):
        whole.add(part, 10.0)
    assert whole.missing == [(11.0, 12.0)] * MAX_REPORTED
    assert whole.ignored == [13.0] * MAX_REPORTED


def test_a_step_may_be_of_any_content() -> None:
    assert next(iter(MediaClock[str]().place([Sound(content="a", start_s=0.0, length_s=1.0)]))) == Play("a")


def test_a_clock_that_goes_back_is_cut_if_the_sound_repeats() -> None:
    asked: list[float] = []

    def repeats(_contents: object, position_s: float) -> bool:
        asked.append(position_s)
        return True

    clock: MediaClock[int] = MediaClock(repeats=repeats)
    steps = list(clock.place(sounds(steady(500, lambda at_s: at_s if at_s < 5 else at_s - 3))))
    assert len(steps) == pytest.approx(350, abs=1)
    assert clock.position_s == pytest.approx(7.0)
    assert asked == [pytest.approx(2.0)]
