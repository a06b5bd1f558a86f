"""The slow line's schedule: each frame leaves once, in order, after the delay, or is lost."""

from hypothesis import given
from hypothesis import strategies as st

from tests.tools.fleet.relay import MAX_QUEUE, Schedule

DELAY_S = 0.08
FRAMES = [number.to_bytes(4, "big") for number in range(500)]


def line(*, loss: float = 0.0, seed: object = 1) -> Schedule:
    return Schedule(delay_s=DELAY_S, loss=loss, seed=seed)


def through(schedule: Schedule) -> list[bytes]:
    """Return the frames that pass when one arrives each millisecond."""
    out = []
    for number, frame in enumerate(FRAMES):
        schedule.take(frame, number / 1000)
        out += schedule.due(number / 1000)
    return out + schedule.due(1e9)


def test_a_frame_leaves_after_the_delay_and_not_before() -> None:
    schedule = line()
    schedule.take(b"frame", 10.0)
    assert schedule.due(10.0 + DELAY_S - 0.001) == []
    assert schedule.next_s(10.05) == 10.0 + DELAY_S - 10.05
    assert schedule.due(10.0 + DELAY_S) == [b"frame"]
    assert schedule.due(10.0 + DELAY_S) == []
    assert schedule.next_s(10.1) is None


@given(loss=st.floats(0, 1), seed=st.integers())
def test_frames_keep_their_order_and_are_lost_or_passed_once(loss: float, seed: int) -> None:
    schedule = line(loss=loss, seed=seed)
    out = through(schedule)
    assert out == sorted(set(out))
    assert (schedule.passed, schedule.passed + schedule.lost) == (len(out), len(FRAMES))


def test_without_loss_all_frames_pass_and_with_full_loss_none() -> None:
    assert through(line()) == FRAMES
    assert through(line(loss=1.0)) == []


def test_the_seed_decides_which_frames_are_lost() -> None:
    assert through(line(loss=0.1, seed=1)) == through(line(loss=0.1, seed=1))
    assert through(line(loss=0.1, seed=1)) != through(line(loss=0.1, seed=2))


def test_frames_beyond_the_queue_limit_are_lost() -> None:
    schedule = line()
    for _ in range(MAX_QUEUE + 3):
        schedule.take(b"frame", 0.0)
    assert schedule.lost == 3
    assert len(schedule.due(1.0)) == MAX_QUEUE
