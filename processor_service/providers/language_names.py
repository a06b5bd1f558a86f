"""Languages as providers name them: OpenAI's API answers "english" where others answer "en"."""

from shared.schemas.options import LANGUAGES

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
