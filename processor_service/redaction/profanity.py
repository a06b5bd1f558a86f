"""Masks profanity: `f***`. Short lists, of words that have no other meaning in their language."""

import re
from functools import cache

# With `*`: also with other endings.
EVERYWHERE = "fuck* motherfuck* clusterfuck* mindfuck* shit bullshit bitch bitches asshole assholes"
WORDS = {
    "en": "shits shitty shitting shitshow shithead* horseshit cunt* bitching arsehole* bastard* dickhead* dickwad* "
    "cocksucker* twat twats wanker* bollocks piss pissed pissing slut sluts slutty whore whores goddamn* dumbass* "
    "jackass* nigger* nigga* faggot* douchebag*",
    "de": "fick ficken fickt ficker gefickt verfickt* scheiß* scheiss* scheiße* beschissen* arschloch* arschlöcher* "
    "wichser* hurensohn* hurensöhn* fotze* schlampe* missgeburt* verpiss*",
    "fr": "putain* merde* connard* connasse* enculé* enculer* salope* salopard* nique niquer foutre pute putes",
    "es": "puta putas puto putos joder* jodid* mierda* coño* cabrón* cabron* gilipollas pendej* chinga* hijueputa*",
    "it": "cazzo cazzi cazzat* merda* stronz* vaffanculo* puttan* troia troie coglion* minchia* fottut*",
    "pt": "caralho* porra foda fodas foder fodid* merda* buceta* arrombad* cuzão* puta putas",
    "nl": "kut kutwijf klootzak* godverdomme* godver hoer hoeren lul neuken mierenneuk*",
}


def masked(text: str, language: str | None) -> str:
    """Return a text in which only the first letter of profane words is left."""
    return _profanity(language or "en").sub(lambda match: match[0][0] + "***", text)


@cache
def _profanity(language: str) -> re.Pattern[str]:
    words = f"{EVERYWHERE} {WORDS.get(language, '')}".split()
    pattern = "|".join(word.replace("*", r"\w*") for word in words)
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)
