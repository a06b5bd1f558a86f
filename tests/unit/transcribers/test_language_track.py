"""The language of slices and windows, from scripted probabilities."""

import numpy as np
import pytest

from processor_service.transcribers.divide_languages import divide_languages, quiet_moments
from processor_service.transcribers.language_track import Probabilities, bounded, bounded_slice, follow, slices_of
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span

ENGLISH, FRENCH = {"en": 0.97, "fr": 0.02, "cy": 0.01}, {"en": 0.02, "fr": 0.97, "cy": 0.01}
ACCENTED_FRENCH = {"en": 0.05, "fr": 0.85, "cy": 0.1}
UNSURE = {"en": 0.3, "fr": 0.4, "cy": 0.3}
SLIP = {"en": 0.1, "fr": 0.88, "cy": 0.02}
ACCENT = {"en": 0.3, "fr": 0.03, "cy": 0.67}


def _followed(*slices: Probabilities, is_bounded: bool = False) -> str:
    return " ".join(follow(slices, "en", is_bounded=is_bounded))


def test_a_window_is_divided_evenly_into_slices() -> None:
    assert slices_of(10.0) == [(0.0, 2.5), (2.5, 5.0), (5.0, 7.5), (7.5, 10.0)]
    assert slices_of(0.4) == [(0.0, 0.4)]


def test_a_change_of_language_is_followed() -> None:
    assert _followed(ENGLISH, ENGLISH, FRENCH, FRENCH) == "en en fr fr"
    assert _followed(FRENCH, FRENCH, FRENCH, ENGLISH, ENGLISH) == "fr fr fr en en"
    assert _followed(*[ENGLISH] * 2, *[FRENCH] * 3, *[ENGLISH] * 2) == "en en fr fr fr en en"


@pytest.mark.parametrize("errs_at", range(5))
def test_one_slice_in_which_the_model_errs_changes_nothing(errs_at: int) -> None:
    slices = [SLIP if number == errs_at else ENGLISH for number in range(5)]
    assert set(follow(slices, "en", is_bounded=False)) == {"en"}


def test_an_unsure_model_changes_nothing() -> None:
    assert set(follow([ENGLISH, *[UNSURE] * 4], "en", is_bounded=False)) == {"en"}
    assert set(follow([ACCENT] * 8, "en", is_bounded=False)) == {"en"}


def test_named_languages_need_less_evidence() -> None:
    between = [ENGLISH, ACCENTED_FRENCH, ACCENTED_FRENCH, ENGLISH]
    assert _followed(*between) == "en en en en"
    assert _followed(*between, is_bounded=True) == "en fr fr en"
    assert _followed(ENGLISH, FRENCH, ENGLISH, is_bounded=True) == "en en en"


def test_one_slice_alone_keeps_the_language_of_the_recording() -> None:
    assert _followed({"en": 0.01, "zh": 0.82}) == "en"


def test_only_allowed_languages_have_probabilities() -> None:
    assert bounded({"en": 0.1, "fr": 0.3, "cy": 0.6}, ["en", "fr"]) == pytest.approx({"en": 0.25, "fr": 0.75})
    assert bounded({"en": 0.5, "fr": 0.5}, []) == {"en": 0.5, "fr": 0.5}
    assert bounded({"en": 1.0}, ["de"]) == {"de": 1.0}


def _noise_with_pauses(duration_s: float, *pauses: Span) -> FloatArray:
    audio = np.random.default_rng(0).normal(0, 0.1, int(duration_s * SAMPLE_RATE_HZ)).astype(np.float32)
    for start_s, end_s in pauses:
        audio[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)] = 0
    return audio


def test_quiet_moments_are_in_pauses() -> None:
    first, second, *_ = quiet_moments(_noise_with_pauses(6, (2.0, 2.4), (4.0, 4.4)))
    assert sorted([first, second]) == pytest.approx([2.2, 4.2], abs=0.15)


def test_a_window_is_divided_at_the_pause_between_two_languages() -> None:
    audio = _noise_with_pauses(40, (17.0, 17.5), (19.3, 19.6), (21.6, 22.0))
    windows = [(0.5, 9.5), (10.0, 30.0), (31.0, 39.0)]

    def hear(number: int, span: Span) -> Probabilities:
        middle_s = windows[number][0] + sum(span) / 2
        return FRENCH if 19.5 < middle_s < 30 else ENGLISH

    parts = divide_languages(audio, windows, hear, "en", is_bounded=False)

    assert parts[0] == [(windows[0], "en")]
    assert parts[2] == [(windows[2], "en")]
    (before, language), (after, other) = parts[1]
    assert (before[0], after[1], language, other) == (10.0, 30.0, "en", "fr")
    assert before[1] == after[0] == pytest.approx(19.45, abs=2.7)


def test_a_window_without_a_pause_is_divided_too() -> None:
    audio = _noise_with_pauses(20)

    def hear(_: int, span: Span) -> Probabilities:
        return FRENCH if sum(span) / 2 > 10 else ENGLISH

    ((first, second),) = divide_languages(audio, [(0.0, 20.0)], hear, "en", is_bounded=True)

    assert [first[1], second[1]] == ["en", "fr"]
    assert first[0][1] == pytest.approx(10.0, abs=2.5)


def test_what_a_slice_gives_to_other_languages_says_nothing_about_the_named_ones() -> None:
    foreign_name = {"ru": 0.42, "th": 0.5, "en": 0.07, "fr": 0.01}
    slices = [bounded_slice(one, ["en", "fr"]) for one in (ENGLISH, FRENCH, foreign_name, FRENCH, FRENCH)]
    assert slices[2] == pytest.approx({"en": 0.53, "fr": 0.47})
    assert _followed(*slices, is_bounded=True) == "en fr fr fr fr"
    assert bounded_slice(foreign_name, []) == pytest.approx(foreign_name)
    assert bounded_slice({"ru": 1.0}, ["en", "fr"]) == pytest.approx({"en": 0.5, "fr": 0.5})
