"""Subtitles, plain text and RTTM, by example."""

from itertools import accumulate

import msgspec
import pytest

from shared.formats.cue_lines import timestamp
from shared.formats.plain import render_rttm, render_tsv, render_txt
from shared.formats.srt import render_srt
from shared.formats.vtt import render_vtt
from shared.schemas.transcript import Segment, Turn
from shared.subtitles.cue_size import CueSize
from shared.subtitles.cues import READABLE_MS, make_cues
from shared.unspaced import divide_words
from tests.support.clips import JFK, NARRATIVE
from tests.support.ingest.spoken import one_after_another, said, transcript, untimed

USUAL = CueSize()


def lines_of(*segments: Segment, language: str = "en", size: CueSize = USUAL) -> list[tuple[str, ...]]:
    return [cue.lines for cue in make_cues(transcript(*segments, language=language), size)]


def test_lines_break_where_phrases_end() -> None:
    assert lines_of(said(NARRATIVE.text)) == [
        ("If the reader will excuse me,", "I will say nothing of my antecedents"),
        ("nor of the circumstances", "which led me to leave my native country."),
        ("The narrative would be tedious to him", "and painful to myself."),
    ]


def test_a_pause_ends_a_phrase_without_punctuation() -> None:
    first, second = said("ask not what your country can do for you"), said("ask what you can do", 3.1)
    words = (*first.words, *second.words)
    segment = msgspec.structs.replace(first, text=f"{first.text} {second.text}", words=words, end=second.end)
    assert lines_of(segment) == [("ask not what your country can do for you", "ask what you can do")]


def test_no_word_is_left_alone_on_a_line() -> None:
    assert lines_of(said("that had vanished behind a curtain, however.")) == [
        ("that had vanished", "behind a curtain, however.")
    ]


def test_no_word_is_left_alone_in_a_cue() -> None:
    text = "We would be glad to see you at the meeting in the town hall on Wednesday evening, please."
    assert lines_of(said(text))[-1] == ("to see you at the meeting in the town", "hall on Wednesday evening, please.")


def test_short_sentences_share_a_cue_and_long_ones_do_not() -> None:
    short = one_after_another(["Yes.", "No.", "I know that."], pause_s=0.2, speakers=[None] * 3)
    assert lines_of(*short) == [("Yes. No. I know that.",)]
    long = one_after_another(["That is one whole sentence.", "This is another one."], pause_s=0.2, speakers=[None] * 2)
    assert lines_of(*long) == [("That is one whole sentence.",), ("This is another one.",)]


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    assert lines_of(said("We all went to Washington with Mr. Smith who lives there.")) == [
        ("We all went to Washington", "with Mr. Smith who lives there.")
    ]


def test_no_cue_spans_a_long_pause() -> None:
    one, other = said("And then"), said("there was light.", 3.0)
    assert [(cue.start_ms, cue.lines) for cue in make_cues(transcript(one, other), USUAL)] == [
        (0, ("And then",)),
        (3000, ("there was light.",)),
    ]


def test_a_cue_of_one_short_word_is_shown_long_enough_to_read_it() -> None:
    (cue,) = make_cues(transcript(said("Yes.")), USUAL)
    assert cue.end_ms - cue.start_ms == READABLE_MS
    crowded = make_cues(transcript(*one_after_another(["Yes.", "No."], pause_s=0.2, speakers=["A", "B"])), USUAL)
    assert crowded[0].end_ms < crowded[1].start_ms


def test_a_segment_without_words_is_divided_by_its_length() -> None:
    text = "One two three four five six seven, eight nine ten eleven twelve. " * 2
    cues = make_cues(transcript(untimed(text, 10, 24)), USUAL)
    assert [cue.lines[0][:5] for cue in cues] == ["One t", "One t"]
    assert cues[1].start_ms == pytest.approx(17_000, abs=200)


def test_japanese_breaks_at_its_punctuation_and_counts_double() -> None:
    text = "日本語の字幕は、一行あたりの文字数が少ないので、長い文章は分けなければなりません。"
    cues = lines_of(untimed(text, 0, 11), language="ja")
    assert cues == [
        ("日本語の字幕は、", "一行あたりの文字数が少ないので、"),
        ("長い文章は分けなければなりません。",),
    ]


def test_words_of_a_language_without_spaces_are_kept_whole() -> None:
    words = ["中国", "人民", "共和", "国家", "主席", "今天", "北京"]
    spoken = said(" ".join(words))
    segment = msgspec.structs.replace(spoken, text="".join(words))
    for lines in lines_of(segment, language="zh", size=CueSize(max_chars=10)):
        assert all(len(line) % 2 == 0 for line in lines)


CHINESE = "我们今天下午去图书馆看书然后打开客厅的灯研究人工智能技术和生命科学的历史"


@pytest.mark.parametrize("columns", [10, 12, 16, 20, 26, 42])
def test_no_line_begins_or_ends_inside_a_word_of_chinese(columns: int) -> None:
    """Neither without words nor with one for each character, as other engines return them."""
    whole = untimed(CHINESE, 0, 12)
    characters = msgspec.structs.replace(said(" ".join(CHINESE)), text=CHINESE)
    for segment in (whole, characters):
        lines = [line for lines in lines_of(segment, language="zh", size=CueSize(max_chars=columns)) for line in lines]
        assert "".join(lines) == CHINESE
        ends = set(accumulate(map(len, lines)))
        assert ends <= set(accumulate(map(len, divide_words(CHINESE))))


def test_characters_that_stand_for_lost_bytes_are_left_out() -> None:
    segment = said("ask \ufffdnot what\ufffd")
    shown = (
        render_srt(transcript(segment), USUAL),
        render_vtt(transcript(segment), USUAL),
        render_txt(transcript(segment)),
    )
    assert all("ask not what\n" in text and "\ufffd" not in text for text in shown)


def test_a_word_that_is_longer_than_a_line_is_cut() -> None:
    cues = lines_of(said("x" * 25), size=CueSize(max_chars=10))
    assert sorted(line for lines in cues for line in lines) == ["x" * 5, "x" * 10, "x" * 10]


def test_cues_of_channels_may_overlap() -> None:
    left, right = said("Can you hear me?", 0.0, channel=0), said("Yes, I can.", 0.5, channel=1)
    cues = make_cues(transcript(left, right), USUAL)
    assert cues[1].start_ms < cues[0].end_ms


def conversation() -> list[Segment]:
    texts, speakers = ["Hello there.", "Good morning to you & <all>."], ["SPEAKER_00", "SPEAKER_01"]
    return one_after_another(texts, pause_s=0.5, speakers=speakers)


def test_srt_names_several_speakers() -> None:
    assert render_srt(transcript(*conversation()), USUAL) == (
        "1\n00:00:00,000 --> 00:00:01,020\nSPEAKER_00: Hello there.\n\n"
        "2\n00:00:01,100 --> 00:00:03,453\nSPEAKER_01: Good morning to you & <all>.\n"
    )
    assert render_srt(transcript(conversation()[0]), USUAL).endswith("\nHello there.\n")
    assert "SPEAKER" not in render_srt(transcript(*conversation()), CueSize(max_chars=20))


def test_vtt_names_speakers_in_voice_tags() -> None:
    assert render_vtt(transcript(*conversation()), USUAL) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v SPEAKER_00>Hello there.\n\n"
        "00:00:01.100 --> 00:00:02.900\n<v SPEAKER_01>Good morning to you &amp; &lt;all&gt;.\n"
    )
    strange = msgspec.structs.replace(conversation()[0], speaker="a\nb>c")
    assert "<v a b&gt;c>Hello" in render_vtt(transcript(strange), USUAL)


def test_a_text_line_cannot_be_parsed_as_cue_times() -> None:
    text = render_vtt(transcript(untimed("one --> two\n\nthree", 0, 2)), USUAL)
    assert text.endswith("\none → two three\n")


def test_txt_and_a_transcript_without_speech() -> None:
    assert render_txt(transcript(untimed(" One.", 0, 1), untimed(" ", 1, 2), untimed("Two.\n", 2, 3))) == "One.\nTwo.\n"
    silent = transcript()
    assert (render_txt(silent), render_srt(silent, USUAL), render_vtt(silent, USUAL)) == ("", "", "WEBVTT\n")


def test_tsv_has_milliseconds_and_one_line_a_segment() -> None:
    spoken = said("A\ttab and\na line.", 1.2345)
    found = transcript(spoken, msgspec.structs.replace(spoken, text=" \ufffd "), said("Twelve.", 3600))
    lines = render_tsv(found).split("\n")
    assert lines[0] == "start\tend\ttext"
    assert [line.split("\t")[2] for line in lines[1:-1]] == ["A tab and a line.", "Twelve."]
    assert [int(line.split("\t")[0]) for line in lines[1:-1]] == [round(spoken.start * 1000), 3_600_000]
    assert render_tsv(transcript()) == "start\tend\ttext\n"


def test_rttm_lists_turns_by_start() -> None:
    turns = (Turn(speaker="Dr. No", start=2.5, end=4.0), Turn(speaker="SPEAKER_00", start=0.25, end=3.0))
    found = msgspec.structs.replace(transcript(*conversation()), turns=turns)
    assert render_rttm(found, "job") == (
        "SPEAKER job 1 0.250 2.750 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER job 1 2.500 1.500 <NA> <NA> Dr._No <NA> <NA>\n"
    )


def test_rttm_without_turns_lists_segments_with_a_speaker() -> None:
    lines = render_rttm(transcript(*conversation(), said(JFK.text, 10)), "job").splitlines()
    assert [line.split()[7] for line in lines] == ["SPEAKER_00", "SPEAKER_01"]


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "00:00:00,000"), (3_661_500, "01:01:01,500"), (360_000_000, "100:00:00,000")]
)
def test_timestamps(ms: int, text: str) -> None:
    assert timestamp(ms, ",") == text
