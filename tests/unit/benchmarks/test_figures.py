"""Examples for the figures of the benchmarks."""

import pytest

from tests.tools.benchmarks import scale
from tests.tools.benchmarks.contend import Result
from tests.tools.benchmarks.figures import figures, table
from tests.tools.benchmarks.word_errors import word_error_rate


def _result(run_s: float, peak_bytes: int = 0) -> Result:
    return Result(load_s=1.0, run_s=run_s, cpu_s=2 * run_s, peak_bytes=peak_bytes, text="")


def _measured(slots: int, chunks_s: float) -> scale.Measured:
    return scale.Measured(slots=slots, chunks=60, chunks_s=chunks_s, mean_chunk_s=1.0, whole_s=chunks_s)


def test_figures_are_medians_of_times_and_the_maximum_of_memory() -> None:
    found = figures([_result(9.0, 1), _result(10.0, 3), _result(30.0, 2)], 600.0, 40.0, None)

    assert (found.run_s, found.times_real_time, found.times_baseline) == (10.0, 60.0, 4.0)
    assert (found.cpu_s, found.peak_bytes) == (20.0, 3)


def test_slots_without_overhead_reach_the_bound() -> None:
    runs = scale.efficiencies([_measured(1, 60.0), _measured(2, 30.0), _measured(32, 2.0)])

    assert [run.efficiency for run in runs] == [1.0, 1.0, 0.938]
    assert [run.bound for run in runs] == [1.0, 1.0, 0.938]
    assert [run.of_schedule for run in runs] == [1.0, 1.0, 1.0]


def test_overhead_lowers_the_efficiency() -> None:
    _, run = scale.efficiencies([_measured(1, 60.0), _measured(32, 2.5)])

    assert (run.efficiency, run.of_schedule) == (0.75, 0.8)


def test_a_contender_without_figures_has_its_reason_in_the_table() -> None:
    lines = table({"first": figures([_result(2.0)], 60.0, None, 0.0872), "second": "not installed"}).splitlines()

    assert "8.72" in lines[1]
    assert lines[2].split() == ["second", "not", "installed"]
    assert len(lines[0]) == len(lines[1])


@pytest.mark.parametrize(
    ("reference", "text", "rate"),
    [
        ("The colour, uh, isn't grey!", "the color is not gray", 0.0),
        ("ask not what you want", "ask not you want", 0.2),
        ("", "anything", None),
    ],
)
def test_words_are_compared_after_whispers_normalisation(reference: str, text: str, rate: float | None) -> None:
    assert word_error_rate(reference, text) == rate
