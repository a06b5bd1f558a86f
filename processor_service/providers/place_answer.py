"""Makes a transcript, in the time of a chunk, of what a provider understood in one piece of it. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from processor_service.providers.plan_pieces import Timeline, length_s
from processor_service.providers.read_answer import Heard, HeardSegment, HeardWord
from processor_service.transcribers.segments import HeardWindow, TimedWord, segments_of
from processor_service.transcribers.transcriber import Span, word
from shared.schemas.options import LANGUAGES, JobOptions
from shared.schemas.transcript import ResultWarning, Segment, Transcript, WarningCode, Word

# Languages as providers name them: OpenAI's API answers "english" where others answer "en".

# English names, as Whisper's model card and API give them, each before its code.
NAMED = """
afrikaans af, albanian sq, amharic am, arabic ar, armenian hy, assamese as, azerbaijani az, bashkir ba, basque eu,
belarusian be, bengali bn, bosnian bs, breton br, bulgarian bg, burmese my, cantonese yue, castilian es, catalan ca,
chinese zh, croatian hr, czech cs, danish da, dutch nl, english en, estonian et, faroese fo, finnish fi, flemish nl,
french fr, galician gl, georgian ka, german de, greek el, gujarati gu, haitian creole ht, haitian ht, hausa ha,
hawaiian haw, hebrew he, hindi hi, hungarian hu, icelandic is, indonesian id, italian it, japanese ja, javanese jw,
kannada kn, kazakh kk, khmer km, korean ko, lao lo, latin la, latvian lv, letzeburgesch lb, lingala ln, lithuanian lt,
luxembourgish lb, macedonian mk, malagasy mg, malay ms, malayalam ml, maltese mt, mandarin zh, maori mi, marathi mr,
moldavian ro, moldovan ro, mongolian mn, myanmar my, nepali ne, norwegian no, nynorsk nn, occitan oc, panjabi pa,
pashto ps, persian fa, polish pl, portuguese pt, punjabi pa, pushto ps, romanian ro, russian ru, sanskrit sa,
serbian sr, shona sn, sindhi sd, sinhala si, sinhalese si, slovak sk, slovenian sl, somali so, spanish es,
sundanese su, swahili sw, swedish sv, tagalog tl, tajik tg, tamil ta, tatar tt, telugu te, thai th, tibetan bo,
turkish tr, turkmen tk, ukrainian uk, urdu ur, uzbek uz, valencian ca, vietnamese vi, welsh cy, yiddish yi, yoruba yo
"""
CODES = {name: code for name, _, code in (one.strip().rpartition(" ") for one in NAMED.split(","))}


def language_code(said: str | None) -> str | None:
    """The code of a language that a provider named, by its name or code; None for what is neither."""
    name = (said or "").strip().lower()
    return name if name in LANGUAGES else CODES.get(name)


UNTOLD = 1.0  # a probability that the provider does not tell: nothing speaks against the text


def transcript_of(heard: Heard, spans: Sequence[Span], options: JobOptions) -> Transcript:
    """Times rise and lie within the spans of the piece."""
    segments = tuple(_segments(heard, spans))
    has_words = all(one.words for one in segments)
    return Transcript(
        text=" ".join(one.text for one in segments),
        language="en" if options.task == "translate" else language_code(heard.language) or options.language,
        duration=spans[-1][1],
        segments=segments,
        warnings=() if has_words or not options.word_timestamps else (_WORD_TIMES_MISSING,),
    )


_WORD_TIMES_MISSING = ResultWarning(
    code=WarningCode.WORD_TIMES_MISSING, message="Times of words were asked for, but the provider told none."
)


def _segments(heard: Heard, spans: Sequence[Span]) -> Iterator[Segment]:
    timeline = Timeline(spans)
    words = [(one, timeline.word(one.start_s, one.end_s)) for one in heard.words]
    if words and not heard.segments:
        yield from _of_words_alone(words, spans)
        return
    segments = heard.segments or _whole(heard, spans)
    groups = _grouped(words, segments)
    end_s = spans[0][0]
    for number, (segment, group) in enumerate(zip(segments, groups, strict=True)):
        following = next((one[0][1][0] for one in groups[number + 1 :] if one), spans[-1][1])
        span = _span_of(group) or _between(timeline.stretch(segment.start_s, segment.end_s), end_s, following)
        yield _segment(number, segment, group, span)
        end_s = span[1]


def _whole(heard: Heard, spans: Sequence[Span]) -> Sequence[HeardSegment]:
    """The text in one stretch, when nothing is known of its parts."""
    return (HeardSegment(text=heard.text, start_s=0.0, end_s=length_s(spans)),) if heard.text else ()


PlacedWord = tuple[HeardWord, Span]


def _grouped(words: Sequence[PlacedWord], segments: Sequence[HeardSegment]) -> list[list[PlacedWord]]:
    """The words of each segment: those whose middles lie after its start and before the next one's."""
    starts_s = [one.start_s for one in segments]
    groups: list[list[PlacedWord]] = [[] for _ in segments]
    for one, span in words:
        before = bisect_right(starts_s, (one.start_s + one.end_s) / 2)
        groups[max(0, before - 1)].append((one, span))
    return groups


def _span_of(group: Sequence[PlacedWord]) -> Span | None:
    return (group[0][1][0], group[-1][1][1]) if group else None


def _between(span: Span, earliest_s: float, latest_s: float) -> Span:
    start_s = min(max(span[0], earliest_s), latest_s)
    return start_s, min(max(span[1], start_s), latest_s)


def _segment(number: int, segment: HeardSegment, group: Sequence[PlacedWord], span: Span) -> Segment:
    told = [one.probability for one, _ in group if one.probability is not None]
    mean = sum(told) / len(told) if told else UNTOLD
    confidence = mean if segment.probability is None else segment.probability
    return Segment(
        id=number,
        start=round(span[0], 3),
        end=round(span[1], 3),
        text=segment.text,
        confidence=round(confidence, 4),
        no_speech_prob=round(segment.no_speech_probability or 0.0, 4),
        words=tuple(_word(one, placed, confidence) for one, placed in group),
    )


def _word(heard: HeardWord, span: Span, confidence: float) -> Word:
    return word(heard.text, *span, confidence if heard.probability is None else heard.probability)


def _of_words_alone(words: Sequence[PlacedWord], spans: Sequence[Span]) -> list[Segment]:
    timed = [
        TimedWord(f" {one.text}", *span, UNTOLD if one.probability is None else one.probability) for one, span in words
    ]
    return segments_of([HeardWindow(span=(spans[0][0], spans[-1][1]), words=timed, no_speech_probability=0.0)])
