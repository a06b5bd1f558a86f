"""Break pieces into the lines of one cue, at the best places."""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from shared.subtitles.display_width import display_width
from shared.subtitles.pieces import Piece

# A break before one of these words is good.
CONJUNCTIONS = {
    "en": "and or but nor so because although though while when where which who that if unless until since than as",
    "de": "und oder aber denn sondern weil obwohl während wenn wo dass damit als bevor nachdem sobald ob",
    "fr": "et ou mais donc car ni parce puisque quand lorsque où qui que dont si comme",
    "es": "y e o u pero sino porque aunque mientras cuando donde que quien si como",
    "it": "e o ma però perché mentre quando dove che chi se come",
    "pt": "e ou mas porém porque embora enquanto quando onde que quem se como",
    "nl": "en of maar want omdat hoewel terwijl wanneer waar dat die als",
}
# A break after one of these words separates it from its noun or verb.
BINDING = {
    "en": "a an the of to in on at by for from with into about against behind between over through under without my "
    "your his her its our their this these those no not very mr. mrs. ms. dr. is are was were be been has have had "
    "will would can could",
    "de": "der die das den dem des ein eine einen einem einer eines in im an am auf zu zum zur von vom mit bei für "
    "sehr mein dein sein ihr unser dr. herr frau nicht kein keine",
    "fr": "le la les l un une des du de d à au aux en dans sur pour par avec mon ma mes ton ta tes son sa ses ce cet "
    "cette ces ne très m. mme",
    "es": "el la los las un una unos unas de del a al en con por para sin mi tu su no muy sr. sra.",
    "it": "il lo la i gli le un uno una di del della a al alla in nel nella con per non molto",
    "pt": "o a os as um uma de do da dos das em no na com por para não muito",
    "nl": "de het een van in op aan bij voor met te mijn jouw zijn haar niet zeer",
}
# These end with a point that does not end a sentence.
ABBREVIATIONS = frozenset(
    (
        "mr. mrs. ms. dr. prof. rev. sgt. capt. lt. st. jr. vs. approx. dept. e.g. i.e. cf. messrs. mme. mlle. m. mm. "
        "p.ex. z.b. d.h. u.a. bzw. ca. evtl. ggf. hr. fr. nr. usw. vgl. sog. inkl. sr. sra. srta. dra. ud. uds. pág. "
        "núm. sig. dott. avv. ing. dhr. mevr. bijv. d.w.z. o.a. np. m.in. tzw. hab. inż. örn. bkz."
    ).split()
)


def words_for(lists: dict[str, str], language: str | None) -> frozenset[str]:
    """Return the words of a language; none if it has no list."""
    return frozenset(lists.get(language or "", "").split())


SENTENCE_SIGNS = frozenset(".?!…。｡？！।॥؟۔։።။។")  # noqa: RUF001 - full-width and other scripts are meant
CLAUSE_SIGNS = frozenset(",;:—–，、；：،")  # noqa: RUF001 - as above
QUOTES = "\"'”’»)]」』）"  # noqa: RUF001 - may follow the end of a sentence
PAUSE_S = 0.3  # separates phrases


# The costs of a break between two pieces.
SENTENCE, CLAUSE, SEGMENT, CONJUNCTION, ELSEWHERE, BOUND, INSIDE_WORD = 0.0, 1.0, 1.5, 2.0, 3.5, 5.0, 9.0


class BreakCosts:
    """The costs of breaks in one language."""

    def __init__(self, language: str | None) -> None:
        self._conjunctions = words_for(CONJUNCTIONS, language)
        self._binding = words_for(BINDING, language)

    def between(self, before: Piece, after: Piece) -> float:
        """Return the cost of a break between two pieces: least after a sentence, most inside a word."""
        if ends_sentence(before):
            return SENTENCE
        if before.text.rstrip(QUOTES)[-1:] in CLAUSE_SIGNS or after.start_s - before.end_s >= PAUSE_S:
            return CLAUSE
        if after.is_inside_word:
            return INSIDE_WORD
        return SEGMENT if after.begins_segment else self._of_words(before.text.lower(), after.text.lower())

    def _of_words(self, before: str, after: str) -> float:
        if before in self._binding:
            return BOUND
        return CONJUNCTION if after in self._conjunctions else ELSEWHERE


def ends_sentence(piece: Piece) -> bool:
    bare = piece.text.rstrip(QUOTES)
    return bare[-1:] in SENTENCE_SIGNS and bare.lower() not in ABBREVIATIONS


Way = tuple[float, tuple[int, ...]]  # a cost, and the ends of the lines

LONELY = 2.0  # cost of a line with one word that fills less than a quarter of it
UNEVEN = 4.0  # cost of a line whose width differs from the mean by a full line


class Row:
    """Pieces in a row. Widths are columns."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._spaces = [int(piece.is_spaced) for piece in pieces]
        widths = (display_width(piece.text) + piece.is_spaced for piece in pieces)
        self._positions = list(accumulate(widths, initial=0))

    def width(self, start: int, end: int) -> int:
        """Return the width of the pieces start … end-1, without the space before the first."""
        return self._positions[end] - self._positions[start] - self._spaces[start]

    def reaches(self, columns: int) -> list[int]:
        """Return, for each piece and for the end, where a line that begins there must end. At least one piece fits."""
        count = len(self._spaces)
        reaches, end = [], 0
        for start in range(count):
            end = max(end, start + 1)
            while end < count and self.width(start, end + 1) <= columns:
                end += 1
            reaches.append(end)
        return [*reaches, count]


def break_lines(
    pieces: Sequence[Piece], max_chars: int, max_lines: int, *, indent: int, costs: BreakCosts
) -> list[Sequence[Piece]]:
    """Break the pieces into as few lines as possible, evenly; the first line has `indent` columns less.

    The breaks have the least sum of costs (Knuth and Plass 1981). Raise ValueError if the pieces do not fit.
    """
    for lines in range(1, max_lines + 1):
        if ends := _Layout(pieces, max_chars, lines, indent, costs).ends():
            return [pieces[start:end] for start, end in pairwise((0, *ends))]
    raise ValueError("the pieces do not fit")


class _Layout:
    """The best breaks for a given number of lines."""

    def __init__(self, pieces: Sequence[Piece], max_chars: int, lines: int, indent: int, costs: BreakCosts) -> None:
        self._pieces, self._count, self._row = pieces, len(pieces), Row(pieces)
        self._max_chars, self._lines, self._indent = max_chars, lines, indent
        self._even = self._row.width(0, self._count) / lines
        self._costs = costs
        self._known: dict[tuple[int, int], Way] = {}

    def ends(self) -> tuple[int, ...]:
        """Return the ends of the lines; none if the pieces do not fit."""
        cost, ends = self._best(0, self._lines)
        return ends if cost < math.inf else ()

    def _best(self, start: int, lines: int) -> Way:
        """Return the least cost of `lines` lines from a piece on, and their ends."""
        if (start, lines) not in self._known:
            self._known[start, lines] = min(self._ways(start, lines), default=(math.inf, ()))
        return self._known[start, lines]

    def _ways(self, start: int, lines: int) -> Iterator[Way]:
        columns = self._max_chars - (0 if start else self._indent)
        for end in range(start + 1, self._count + 1):
            if self._row.width(start, end) > columns:
                return
            if end == self._count and lines == 1:
                yield self._cost(start, end), (end,)
            elif end < self._count and lines > 1:
                rest_cost, ends = self._best(end, lines - 1)
                yield self._cost(start, end) + rest_cost, (end, *ends)

    def _cost(self, start: int, end: int) -> float:
        width = self._row.width(start, end)
        uneven = UNEVEN * abs(width - self._even) / self._max_chars
        lonely = LONELY if end - start == 1 and width < self._max_chars / 4 else 0.0
        broken = self._costs.between(self._pieces[end - 1], self._pieces[end]) if end < self._count else 0.0
        return uneven + lonely + broken


def joined(pieces: Sequence[Piece]) -> str:
    """Return the pieces' text in one line."""
    return "".join(" " * piece.is_spaced + piece.text for piece in pieces).strip()
