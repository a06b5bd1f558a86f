"""Right-to-left and mixed lines in subtitles. How lines are shown was compared with the Unicode algorithm."""

import msgspec
import pytest

from shared.formats.direction import END, END_ISOLATE, ISOLATE, LEFT_TO_RIGHT, RIGHT_TO_LEFT, is_rtl
from shared.formats.srt import render_srt
from shared.formats.style import Style
from shared.formats.vtt import render_vtt
from shared.subtitles.cue_size import CueSize
from tests.support.ingest.spoken import one_after_another, said, transcript

USUAL = CueSize()
MARKED = Style(direction_marks=True)


def srt_lines(text: str, language: str, style: Style = MARKED) -> list[str]:
    return render_srt(transcript(said(text), language=language), USUAL, style).splitlines()[2:]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("مرحبا بالعالم!", "ar"),
        ("«شكرا» قال الرجل", "ar"),
        ("لدينا غدا 15", "ar"),
        ("٣٤ كتابا", "ar"),
        ("שלום, עולם.", "he"),
        ("- מה שלומך", "he"),
        ("سلام، حال شما خوب است.", "fa"),
        ("قال John Smith نعم", "ar"),
        ("iPhone 15 هو هاتف جديد", "ar"),
        ("הוא גר ב-New York", "he"),
        ("من در Google کار می‌کنم.", "fa"),
    ],
)
def test_a_line_that_would_be_shown_wrong_is_embedded(text: str, language: str) -> None:
    assert srt_lines(text, language) == [RIGHT_TO_LEFT + text + END]
    assert render_vtt(transcript(said(text), language=language), USUAL, MARKED).splitlines()[3] == (
        RIGHT_TO_LEFT + text + END
    )


@pytest.mark.parametrize(
    ("text", "language"),
    [("مرحبا بالعالم", "ar"), ("كيف حالك؟", "ar"), ("לי 3 ספרים", "he"), ("Hello, world!", "en"), ("你好。", "zh")],
)
def test_other_lines_have_no_marks(text: str, language: str) -> None:
    assert srt_lines(text, language) == [text]


def test_vowel_signs_at_the_end_are_of_their_letter() -> None:
    assert srt_lines("مرحبًا بكمُ", "ar") == ["مرحبًا بكمُ"]


def test_without_the_option_there_are_no_marks() -> None:
    assert srt_lines("قال John نعم!", "ar", Style()) == ["قال John نعم!"]


@pytest.mark.parametrize(
    ("text", "language", "rtl"),
    [
        ("My name is محمد and I am here.", "en", False),
        ("My name is محمد.", None, False),
        ("اسمي John Smith.", "ar", True),
        ("أنا اسمي محمد OK", None, True),
        ("John Smith!", "ar", False),
        ("... 15", "ar", False),
        ("", "ar", False),
    ],
)
def test_the_direction_of_mixed_text(text: str, language: str | None, *, rtl: bool) -> None:
    assert is_rtl(text, language) is rtl


def test_the_language_of_the_segment_decides() -> None:
    segment = msgspec.structs.replace(said("My name is محمد."), language="en")
    assert render_srt(transcript(segment, language="ar"), USUAL, MARKED).splitlines()[2] == "My name is محمد."


def test_a_left_to_right_line_that_begins_with_hebrew_stays_left_to_right() -> None:
    assert srt_lines("שלום means peace.", "en") == [LEFT_TO_RIGHT + "שלום means peace." + END]


def test_a_speaker_does_not_turn_a_line() -> None:
    spoken = one_after_another(["مرحبا بك", "Hello to you"], pause_s=0.5, speakers=["SPEAKER_00", "דוד"])
    lines = render_srt(transcript(*spoken, language="ar"), USUAL, MARKED).splitlines()
    assert lines[2] == f"{RIGHT_TO_LEFT}{ISOLATE}SPEAKER_00{END_ISOLATE}: مرحبا بك{END}"
    assert lines[6] == f"{ISOLATE}דוד{END_ISOLATE}: Hello to you"


def test_each_line_of_a_cue_has_its_marks() -> None:
    text = "قال John Smith إنه سيذهب إلى مدينة نيويورك غدا، ثم يعود إلى بيته في القاهرة."
    lines = srt_lines(text, "ar")
    assert len(lines) > 1
    shown = [line for line in lines if line and not line[0].isdigit()]
    assert all(line.startswith(RIGHT_TO_LEFT) == line.endswith(END) for line in shown)
    assert " ".join(line.strip(RIGHT_TO_LEFT + END) for line in shown) == text


def test_marks_do_not_enter_the_words_of_karaoke() -> None:
    style = Style(words=True, direction_marks=True)
    assert render_vtt(transcript(said("قال John!"), language="ar"), USUAL, style).splitlines()[3] == (
        f"{RIGHT_TO_LEFT}<c>قال</c> <00:00:00.300><c>John!</c>{END}"
    )
