"""Subtitles and lyrics with each word at its time."""

import re
from itertools import pairwise

import msgspec

from shared.formats.lrc import render_lrc
from shared.formats.srt import render_srt
from shared.formats.style import Style
from shared.formats.vtt import render_vtt
from shared.subtitles.cue_size import CueSize
from tests.support.clips import NARRATIVE
from tests.support.ingest.spoken import one_after_another, said, transcript, untimed

USUAL = CueSize()
WORDS = Style(words=True)
CHINESE = "我们今天下午去图书馆看书。"


def test_vtt_has_a_time_before_each_word_but_the_first() -> None:
    spoken = transcript(said("Tom & <Ann>, hello.", speaker="A"))
    assert render_vtt(spoken, USUAL, WORDS).splitlines()[3] == (
        "<v A><c>Tom</c> <00:00:00.300><c>&amp;</c> <00:00:00.600><c>&lt;Ann&gt;,</c> <00:00:01.300><c>hello.</c>"
    )


def test_the_times_in_a_vtt_cue_increase_and_are_inside_it() -> None:
    crowded = said(NARRATIVE.text)
    words = tuple(msgspec.structs.replace(word, start=0.5, end=0.5) for word in crowded.words[:3])
    segment = msgspec.structs.replace(crowded, words=(*words, *crowded.words[3:]))
    for cue in render_vtt(transcript(segment), USUAL, WORDS).split("\n\n")[1:]:
        start, _, end = cue.splitlines()[0].partition(" --> ")
        times = [start, *re.findall(r"<([\d:.]+)>", cue), end]
        assert all(before < after for before, after in pairwise(times))


def test_the_words_of_a_cue_are_its_lines() -> None:
    for spoken in (transcript(said(NARRATIVE.text)), transcript(untimed(CHINESE, 0, 5), language="zh")):
        by_word = re.sub(r"</?c>|<[\d:.]+>", "", render_vtt(spoken, USUAL, WORDS))
        assert by_word == render_vtt(spoken, USUAL)


def test_srt_underlines_each_word_and_none_in_a_pause() -> None:
    spoken = transcript(*one_after_another(["Yes, sure.", "No."], pause_s=0.2, speakers=["A", "B"]))
    cues = [cue.splitlines()[1:] for cue in render_srt(spoken, USUAL, WORDS).strip().split("\n\n")]
    assert cues == [
        ["00:00:00,000 --> 00:00:00,300", "A: <u>Yes,</u> sure."],
        ["00:00:00,300 --> 00:00:00,700", "A: Yes, sure."],
        ["00:00:00,700 --> 00:00:01,000", "A: Yes, <u>sure.</u>"],
        ["00:00:01,200 --> 00:00:01,500", "B: <u>No.</u>"],
        ["00:00:01,500 --> 00:00:02,200", "B: No."],
    ]


def test_the_cues_of_words_cover_the_time_of_the_cue() -> None:
    spoken = transcript(said(NARRATIVE.text))
    whole = re.findall(r"(\S+) --> (\S+)", render_srt(spoken, USUAL))
    parts = re.findall(r"(\S+) --> (\S+)", render_srt(spoken, USUAL, WORDS))
    assert {whole[0][0], whole[-1][1]} <= {parts[0][0], parts[-1][1]}
    starts = {start for start, _ in whole}
    assert all(before[1] == after[0] or after[0] in starts for before, after in pairwise(parts))


def test_lrc_has_lines_and_an_empty_one_before_a_pause() -> None:
    spoken = transcript(said("Ask not."), said("What you can do.", 61.5), duration_s=3725)
    assert render_lrc(spoken, USUAL) == (
        "[la:en]\n[length:62:05]\n[00:00.00]Ask not.\n[00:00.60]\n[01:01.50]What you can do.\n[01:02.70]\n"
    )


def test_lrc_with_words_and_speakers() -> None:
    spoken = transcript(*one_after_another(["Ask not.", "Why?"], pause_s=0.1, speakers=["A", "B"]))
    assert render_lrc(spoken, USUAL, WORDS).splitlines()[2:] == [
        "[00:00.00]A: <00:00.00>Ask <00:00.30>not.<00:00.60>",
        "[00:00.70]B: <00:00.70>Why?<00:01.00>",
        "[00:01.00]",
    ]


def test_text_in_lrc_is_no_time_and_no_tag() -> None:
    lines = render_lrc(transcript(said("[00:01.00] <00:02.00> [ti: x]")), USUAL).splitlines()
    assert lines[2] == "[00:00.00](00:01.00] (00:02.00> (ti: x]"


def test_without_speech() -> None:
    silent = transcript(duration_s=5)
    assert render_lrc(silent, USUAL, WORDS) == "[la:en]\n[length:00:05]\n"
    assert (render_srt(silent, USUAL, WORDS), render_vtt(silent, USUAL, WORDS)) == ("", "WEBVTT\n")
