"""Numbers as written."""

import msgspec
import pytest

from ingest_service.formats.normalize import normalized
from ingest_service.formats.render import Order, render_json
from shared.formats.style import Style
from shared.schemas.transcript import Transcript, Word
from tests.support.ingest.spoken import said, transcript, untimed

NUMBERS = [
    ("en", "We paid twenty five dollars, and one hundred and twenty three point four percent.", None),
    ("en", "The twenty first of May.", "The 21st of May."),
    ("en", "call five five five, one two", "call 5 5 5, 1 2"),
    ("en", "“Twenty-five!” she said.", "“25!” she said."),
    ("fr", "vingt et un euros, quatre-vingt-dix-sept", "21 euros, 97"),
    ("de", "fünfundzwanzig Euro", "25 Euro"),
    ("es", "treinta y cinco años", "35 años"),
    ("it", "ventitré anni", "23 anni"),
    ("pt", "vinte e cinco anos", "25 anos"),
    ("nl", "vijfentwintig jaar", "25 jaar"),
    ("da", "femogtyve år", "25 år"),
]


@pytest.mark.parametrize(("language", "text", "written"), NUMBERS)
def test_numbers_are_written_with_digits(language: str, text: str, written: str | None) -> None:
    expected = written or "We paid 25 dollars, and 123.4 percent."
    for segment in (said(text), untimed(text, 0, 5)):
        found = normalized(transcript(segment, language=language))
        assert (found.text, found.segments[0].text) == (expected, expected)
        assert [word.word for word in found.segments[0].words] in (expected.split(), [])


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "no one knew that one of the best came first, then the second"),
        ("en", "in nineteen eighty four"),
        ("en", "a million reasons and a hundred more"),
        ("ja", "twenty five"),
        ("en", "Already 25 and 3.5 percent"),
        ("de", "Ich habe ein Haus"),
    ],
)
def test_what_stays_as_it_was_said(language: str, text: str) -> None:
    spoken = transcript(said(text), language=language)
    assert normalized(spoken) == spoken


def test_a_number_has_the_time_of_its_words() -> None:
    spoken = said("It is twenty five now", 1.0)
    words = list(spoken.words)
    words[3] = msgspec.structs.replace(words[3], confidence=0.5)
    found = normalized(transcript(msgspec.structs.replace(spoken, words=tuple(words)))).segments[0]
    assert found.words[2] == Word(word="25", start=1.6, end=2.2, confidence=0.5)
    assert found.words[3] == spoken.words[4]
    assert (found.start, found.end) == (spoken.start, spoken.end)


def test_a_pause_and_another_speaker_separate_numbers() -> None:
    spoken = said("twenty five")
    first, second = spoken.words
    for changed in (
        msgspec.structs.replace(second, start=2.0, end=2.3),
        msgspec.structs.replace(second, speaker="B"),
    ):
        found = normalized(transcript(msgspec.structs.replace(spoken, words=(first, changed))))
        assert found.text == "20 5"


def test_the_language_of_a_segment_counts() -> None:
    segment = msgspec.structs.replace(said("vingt et un"), language="fr")
    assert normalized(transcript(segment, language="en")).text == "21"


def test_formats_have_the_numbers_and_json_stays_without_the_option() -> None:
    stored = msgspec.json.encode(transcript(said("We are twenty five.")))
    style = Style(normalize=True)
    assert b"We are 25.\n" in render_json(stored, Order(wanted="srt", job_id="job", style=style))
    found = msgspec.json.decode(render_json(stored, Order(wanted="json", job_id="job", style=style)), type=Transcript)
    assert found.text == "We are 25."
    assert render_json(stored, Order(wanted="txt", job_id="job")) == b"We are twenty five.\n"
