import pytest

from processor_service.transcribers.choose_language import begun_later, heard_twice, likely_languages


def test_a_model_that_is_sure_is_believed() -> None:
    assert likely_languages({"de": 0.04, "en": 0.95, "cy": 0.01}) == ["en"]


def test_where_it_is_unsure_all_that_come_into_question_are_tried() -> None:
    assert likely_languages({"la": 0.01, "en": 0.32, "cy": 0.67}) == ["cy", "en"]


def test_there_is_always_one() -> None:
    assert likely_languages({"en": 0.02, "cy": 0.03}) == ["cy"]


def test_most_unsure_it_hears_again_and_the_mean_counts() -> None:
    both = heard_twice({"zh": 0.4, "en": 0.35}, lambda: {"zh": 0.2, "en": 0.6})

    assert both == pytest.approx({"zh": 0.3, "en": 0.475})


def test_a_clear_answer_is_not_asked_for_again() -> None:
    def never() -> dict[str, float]:
        raise AssertionError

    assert heard_twice({"en": 0.5, "zh": 0.2}, never) == {"en": 0.5, "zh": 0.2}


def test_what_cannot_be_heard_again_stays_as_it_was() -> None:
    assert heard_twice({"zh": 0.4, "en": 0.35}, lambda: None) == {"zh": 0.4, "en": 0.35}


def test_heard_again_a_window_begins_later_and_short_ones_are_left_out() -> None:
    assert begun_later([(0.5, 8.0), (9.0, 11.0)]) == [(1.5, 8.0)]
