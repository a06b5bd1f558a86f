"""Words that tell where a phrase begins, or that belong to what follows them; for a line is best broken accordingly."""

# A break before one of these reads well.
CONJUNCTIONS = {
    "en": "and or but nor so because although though while when where which who that if unless until since than as",
    "de": "und oder aber denn sondern weil obwohl während wenn wo dass damit als bevor nachdem sobald ob",
    "fr": "et ou mais donc car ni parce puisque quand lorsque où qui que dont si comme",
    "es": "y e o u pero sino porque aunque mientras cuando donde que quien si como",
    "it": "e o ma però perché mentre quando dove che chi se come",
    "pt": "e ou mas porém porque embora enquanto quando onde que quem se como",
    "nl": "en of maar want omdat hoewel terwijl wanneer waar dat die als",
}
# A break after one of these tears it from its noun or verb.
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
# End with a point, and no sentence with them.
ABBREVIATIONS = frozenset("mr. mrs. ms. dr. prof. st. vs. no. e.g. i.e. z.b. bzw. hr. fr. m. mme. sr. sra. jr.".split())


def words_for(lists: dict[str, str], language: str | None) -> frozenset[str]:
    """Those of a language; none for one that has no list."""
    return frozenset(lists.get(language or "", "").split())
