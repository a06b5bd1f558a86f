import pytest

from processor_service.transcribers.choose_language import likely_languages, mean_of_two, shifted_windows


def test_a_sure_model_decides_alone() -> None:
    assert likely_languages({"de": 0.04, "en": 0.95, "cy": 0.01}) == ["en"]


def test_all_probable_languages_are_tried_if_the_model_is_unsure() -> None:
    assert likely_languages({"la": 0.01, "en": 0.32, "cy": 0.67}) == ["cy", "en"]


def test_there_is_always_a_language() -> None:
    assert likely_languages({"en": 0.02, "cy": 0.03}) == ["cy"]


def test_a_very_unsure_result_is_repeated_and_averaged() -> None:
    mean = mean_of_two({"zh": 0.4, "en": 0.35}, lambda: {"zh": 0.2, "en": 0.6})

    assert mean == pytest.approx({"zh": 0.3, "en": 0.475})


def test_a_clear_result_is_not_repeated() -> None:
    def never() -> dict[str, float]:
        raise AssertionError

    assert mean_of_two({"en": 0.5, "zh": 0.2}, never) == {"en": 0.5, "zh": 0.2}


def test_a_result_that_cannot_be_repeated_is_unchanged() -> None:
    assert mean_of_two({"zh": 0.4, "en": 0.35}, lambda: None) == {"zh": 0.4, "en": 0.35}


def test_repeated_windows_start_later_and_short_ones_are_left_out() -> None:
    assert shifted_windows([(0.5, 8.0), (9.0, 11.0)]) == [(1.5, 8.0)]
