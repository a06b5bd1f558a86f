"""The diarization error rate of the benchmark."""

from pathlib import Path

import pytest

from shared.schemas.transcript import Turn
from tests.tools.benchmarks.diarization_error import diarization_error, read_rttm


def _turns(*rows: tuple[str, float, float]) -> tuple[Turn, ...]:
    return tuple(Turn(speaker=name, start=start, end=end) for name, start, end in rows)


TRUTH = _turns(("ann", 0.0, 6.0), ("ben", 6.0, 10.0))


def test_names_do_not_matter() -> None:
    assert diarization_error(TRUTH, _turns(("1", 6.0, 10.0), ("2", 0.0, 6.0))).rate == 0


@pytest.mark.parametrize(
    ("found", "missed", "false", "confused"),
    [
        ((), 1.0, 0.0, 0.0),
        ((("1", 0.0, 10.0),), 0.0, 0.0, 0.4),
        ((("1", 0.0, 6.0), ("2", 6.0, 12.0)), 0.0, 0.2, 0.0),
        ((("1", 0.0, 6.0), ("2", 5.0, 10.0)), 0.0, 0.1, 0.0),
        ((("1", 0.0, 5.0), ("2", 6.0, 10.0)), 0.1, 0.0, 0.0),
    ],
)
def test_each_kind_of_error_is_counted_separately(
    found: tuple[tuple[str, float, float], ...], missed: float, false: float, confused: float
) -> None:
    assert diarization_error(TRUTH, _turns(*found)) == pytest.approx((missed, false, confused))


def test_overlap_counts_for_each_speaker() -> None:
    both = _turns(("ann", 0.0, 5.0), ("ben", 0.0, 5.0))

    assert diarization_error(both, _turns(("1", 0.0, 5.0))).missed == pytest.approx(0.5)


def test_rttm_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    path.write_text("SPEAKER a 1 1.500 2.000 <NA> <NA> ann <NA> <NA>\n;; a comment\n")

    assert read_rttm(path) == _turns(("ann", 1.5, 3.5))
