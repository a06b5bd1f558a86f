"""A printed example can be copied into a Hypothesis decorator."""

from typing import Any

import pytest
from hypothesis import Phase, example, given, seed, settings
from hypothesis import strategies as st

from tests.tools.fuzz.rounds import as_lines


def find(test: Any, **fixtures: Any) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        test(**fixtures)
    return as_lines(caught.value, list(fixtures))


@seed(1)
@settings(phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False, derandomize=False)
@given(st.lists(st.binary()), st.text())
def fails(fixture: object, bodies: list[bytes], text: str) -> None:  # noqa: ARG001 - it must be printed
    assert fixture is None or len(bodies) < 2


def test_an_example_is_one_line_without_fixtures() -> None:
    lines = find(fails, fixture=object())
    assert lines == ["@example(bodies=[b'', b''], text='')"]


@given(st.just(1))
@example("a\nlong" * 50)
def fails_at_once(value: object) -> None:
    assert value == 1


def test_a_repeated_failure_prints_the_same_line() -> None:
    lines = find(fails_at_once)
    assert eval(lines[0].removeprefix("@"), {"example": lambda value: value}) == "a\nlong" * 50  # noqa: S307 - our own text


@given(st.data())
@settings(phases=[Phase.generate])
def fails_with_data(data: st.DataObject) -> None:
    assert data.draw(st.integers()) is None


def test_drawn_data_is_not_an_example() -> None:
    assert find(fails_with_data) == []


def test_schemathesis_shows_requests() -> None:
    said = "Reproduce with:\n\n    curl -X GET http://127.0.0.1/a\n\nReproduce with:\n\n    curl -X GET http://127.0.0.1/a\n"
    assert as_lines(AssertionError(said), []) == ["curl -X GET http://127.0.0.1/a"]
