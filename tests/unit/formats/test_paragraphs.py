"""Sentences and paragraphs."""

import msgspec
import pytest

from ingest_service.formats.render import Order, render_json
from shared.formats.paragraphs import MOST_SENTENCES, Transcript, paragraphs_of
from shared.formats.sentences import PAUSE_S
from shared.formats.style import Style
from shared.schemas import transcript as stored
from tests.support.ingest.spoken import one_after_another, said, transcript, untimed


def sentences_of(text: str, language: str) -> list[str]:
    (paragraph,) = paragraphs_of(transcript(untimed(text, 0, 10), language=language))
    return [sentence.text for sentence in paragraph.sentences]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["Mr. Smith met Dr. J. R. Jones.", "“Really?”", "Yes, at 3.5 percent!"]),
        ("en", ["Wait… what did you say?", "He lives in the U.S. now, e.g. in Ohio."]),
        ("de", ["Am 3. Mai kam Hr. Weber, z.B. mit Frau Dr. Klein.", "Gut!"]),
        ("fr", ["« Où est M. Dupont ? »", "Il est parti."]),
        ("es", ["¿Cómo está Sr. García?", "¡Muy bien!"]),
        ("ru", ["Он живёт в г. Москва.", "Да?"]),  # noqa: RUF001 - Cyrillic is meant
        ("zh", ["你好。", "你叫什么名字？", "我叫小明！"]),  # noqa: RUF001 - full-width signs are meant
        ("ja", ["今日は晴れです。", "「本当ですか？」", "はい。"]),  # noqa: RUF001 - as above
        ("ar", ["كيف حالك؟", "أنا بخير."]),
        ("ur", ["میں ٹھیک ہوں۔", "آپ کیسے ہیں؟"]),  # noqa: RUF001 - the Urdu stop is meant
        ("hi", ["मैं ठीक हूँ।", "आप कैसे हैं?"]),
        ("hy", ["Ես լավ եմ։", "Շնորհակալություն։"]),  # noqa: RUF001 - the Armenian stop is meant
    ],
)
def test_sentences(language: str, sentences: list[str]) -> None:
    space = "" if language in {"zh", "ja"} else " "
    assert sentences_of(space.join(sentences), language) == sentences


def test_sentences_have_the_times_of_their_words_and_go_over_segments() -> None:
    first, second = said("This is"), said("one sentence. And another.", 0.6)
    (paragraph,) = paragraphs_of(transcript(first, second))
    assert [(one.start, one.end, one.text) for one in paragraph.sentences] == [
        (0.0, 1.2, "This is one sentence."),
        (1.2, 1.8, "And another."),
    ]
    assert (paragraph.start, paragraph.end, paragraph.text) == (0.0, 1.8, "This is one sentence. And another.")


def test_a_paragraph_ends_with_its_speaker() -> None:
    texts, speakers = ["Hello.", "Hi.", "And you?", "Fine."], ["A", "A", "B", "A"]
    found = paragraphs_of(transcript(*one_after_another(texts, pause_s=0.1, speakers=speakers)))
    assert [(one.speaker, one.text) for one in found] == [("A", "Hello. Hi."), ("B", "And you?"), ("A", "Fine.")]


def test_a_paragraph_ends_at_a_pause_even_without_punctuation() -> None:
    segments = one_after_another(["so I said", "well then"], pause_s=PAUSE_S, speakers=[None, None])
    assert [one.text for one in paragraphs_of(transcript(*segments))] == ["so I said", "well then"]
    close = one_after_another(["so I said", "well then"], pause_s=PAUSE_S - 0.5, speakers=[None, None])
    assert [one.text for one in paragraphs_of(transcript(*close))] == ["so I said well then"]


def test_a_paragraph_has_a_bounded_number_of_sentences() -> None:
    found = paragraphs_of(transcript(said("One two. " * (2 * MOST_SENTENCES + 1))))
    assert [len(one.sentences) for one in found] == [MOST_SENTENCES, MOST_SENTENCES, 1]


def test_channels_have_their_own_paragraphs() -> None:
    left, right = said("Can you hear me?", 0.0, channel=0), said("Yes, I can.", 0.5, channel=1)
    again = said("Good.", 1.4, channel=0)
    found = paragraphs_of(transcript(left, right, again))
    assert [(one.channel, one.text) for one in found] == [(0, "Can you hear me? Good."), (1, "Yes, I can.")]


def test_the_json_has_paragraphs_only_if_they_are_wanted() -> None:
    spoken = transcript(said("Hello there."))
    content = msgspec.json.encode(spoken)
    plain = render_json(content, Order(wanted="json", job_id="job"))
    assert plain == content
    with_them = render_json(content, Order(wanted="json", job_id="job", style=Style(paragraphs=True)))
    found = msgspec.json.decode(with_them, type=Transcript)
    assert found.paragraphs == paragraphs_of(spoken)
    assert msgspec.json.decode(with_them, type=stored.Transcript) == spoken
