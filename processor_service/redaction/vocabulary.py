"""What people say around personal data, in the languages whose spoken numbers are read. One table for all languages.

Patterns are searched in tokens (tokens.py): in small letters, with one space between words and without signs.
"""

import re

NUMBER_LANGUAGES = frozenset({"da", "de", "en", "es", "fr", "it", "nl", "pt"})  # of text2num

# Between the parts of a number, an address or a domain.
DOTS = frozenset("dot point punkt punto ponto punt".split())
DASHES = frozenset("dash hyphen minus bindestrich strich tiret guion guión trattino hífen traço streepje".split())
UNDERSCORES = frozenset({"underscore", "unterstrich", "underline", "tiret bas"})
AT_SIGNS = frozenset("at ät arobase arroba chiocciola apenstaartje klammeraffe @".split())
# What does not end a number: hesitations, and the other speaker's short answers.
FILLERS = frozenset(
    "um uh er erm ah eh hmm mm mhm huh okay ok yeah yes yep right sure then and space slash comma plus got it go ahead "
    "äh ähm ja und euh oui et sì sí sim e y"
    " en ehm".split()
)
IN_NUMBERS = FILLERS | DOTS | DASHES
MULTIPLES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4, "doppel": 2}
ZEROS = frozenset({"oh", "o", "nought", "naught", "nil", "zip"})  # beside other digits
# Between digits.
SOUNDS_LIKE = {"to": "2", "too": "2", "for": "4", "fore": "4", "won": "1", "free": "3", "ate": "8", "tree": "3"}
# A short number beside these counts something: it is no part of a longer number.
RANKS_BEFORE = frozenset("first last next other another every each second third".split())
PRONOUNS_BEFORE = RANKS_BEFORE | {"this", "that", "which", "any", "no"}  # before `one`
MEASURES = frozenset(
    "second seconds minute minutes hour hours day days week weeks month months year years o'clock am pm dollar dollars "
    "cent cents euro euros pound pounds percent mile miles kilometer kilometers meter meters foot feet inch inches "
    "gram grams people persons times".split()
)


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{'|'.join(alternatives)})(?!\S)")


# A number is of the kind that was named last before it. `other`: numbers that look like those of a person.
CONTEXTS: dict[str, re.Pattern[str]] = {
    "card": _pattern(
        r"card(?:s| numbers?)?|creditcard|visa|mastercard|amex|american express|numbers? on the front",
        r"(?:kredit|bank|ec)karten?(?:nummer)?|kartennummer|girocard|carte (?:bancaire|de crédit|bleue)",
        r"numéro de (?:la |ma |votre )?carte|tarjeta|carta di credito|numero della carta|cartão|kaartnummer|bankpas",
    ),
    "card_code": _pattern(
        r"cvv2?|cvc2?|c v v|c v c|csc|(?:security|verification|card) code|(?:on|from) the back(?: of (?:it|the card))?",
        r"expir\w+|exp date|valid (?:until|thru|through)|prüf(?:nummer|ziffer)|gültig bis|ablaufdatum|cryptogramme",
        r"date d'expiration|valable jusqu\w*|código de segur\w+|caduca\w*|vence\w*|codice di sicurezza|scade\w*",
        r"scadenza|validade|beveiligingscode|vervalt|geldig tot",
    ),
    "ssn": _pattern(r"social security(?: number)?|social(?! media| network| work| club)|ssn|s s n|soc"),
    "phone": _pattern(
        r"area code|phones?(?: numbers?)?|telephone|cell(?:phone| phone)?|mobile|fax|dial|whatsapp",
        r"(?:contact|callback|my|your|best) number",
        r"telefon\w*|handy\w*|rufnummer|téléphone|portable|teléfono|móvil|celular",
        r"telefono|cellulare|telefone|telemóvel|telefoon\w*|mobiel\w*",
    ),
    "account": _pattern(
        r"accounts?(?: numbers?)?|acct|routing(?: number)?|sort code|policy(?: number)?",
        r"member(?:ship)?(?: number| id)?",
        r"customer (?:number|id)|patient (?:number|id)|passport(?: number)?|driver'?s licen[sc]e(?: number)?|konto\w*",
        r"bankleitzahl|kundennummer|compte|cuenta|numero di conto|conta|rekening\w*|klantnummer|polis\w*",
    ),
    "iban": _pattern(r"ibans?|i b a n"),
    "ip": _pattern(r"ip(?: address)?|i p(?: address)?|ip ?adresse|adresse ip|dirección ip|indirizzo ip|endereço ip"),
    "other": _pattern(
        r"(?:order|tracking|confirmation|reference|ticket|invoice|case|flight|serial|model|part|zip|postal)"
        r"(?: number| code| id)?|scores?|match|(?:first|second|third|last|final) set|lottery|lotto|channels?|chapters?"
        r"|episodes?|versions?|postcode|bestell\w*|auftrag\w*|commande|pedido|ordine|encomenda|bestelling",
    ),
}

# Invitations to call. A phone number may follow, but so may the hours of a shop, or other matters.
CALLS = _pattern(
    r"(?:call(?:ed|ing)?|ring|text) (?:me|us|him|her|back)|call|reach (?:me|us|him|her|you)",
    r"erreich\w*|joindre|appel\w*|llám\w*|chiam\w*|ligu\w*|bellen|bereik\w*",
)
TIMES_BEFORE = frozenset("between from until till before after".split())

BORN = _pattern(
    r"born(?: on)?|birth ?(?:day|date)|date of birth|d o b|dob|geboren|geburts(?:tag|datum)|née?(?: le)?|naissance",
    r"naci(?:do|da|miento|ó)|nat[oa] il|data di nascita|nascid[oa]|nascimento|geboortedatum",
)
MONTHS = (
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec januar februar märz mai juni juli oktober dezember janvier février mars avril juin juillet "
    "août septembre octobre novembre décembre enero febrero marzo abril mayo junio julio agosto septiembre octubre "
    "noviembre diciembre gennaio febbraio aprile maggio giugno luglio settembre ottobre novembre dicembre janeiro "
    "fevereiro março maio junho julho setembro outubro novembro dezembro januari februari maart mei augustus"
)
MONTH_NAMES = frozenset(MONTHS.split())
ORDINALS = frozenset(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth thirtieth".split()
)
IN_DATES = frozenset("of the and in on le de der den di del il do am van en".split())

TOP_DOMAINS = (
    "com org net edu gov info biz io co me us uk ca au de at ch fr be es it pt nl eu dk se no fi pl ie nz in jp br mx "
    "app dev online"
)
TOP_NAMES = frozenset(TOP_DOMAINS.split())
MAIL_HOSTS = frozenset(
    "gmail googlemail yahoo ymail hotmail outlook live icloud aol msn gmx web proton protonmail fastmail comcast "
    "verizon att btinternet t-online orange wanadoo free libero hotmail sapo ziggo kpnmail".split()
)
EMAIL_CUES = _pattern(
    r"e ?mails?(?: address)?(?: is| me at| us at| it to| him at| her at)?(?: it's| is)?|mail(?: me| us)? at",
    r"mail(?: is|'s)|(?:reach|contact|write(?: to)?|text) (?:me|him|her) at",
    r"(?:e mail ?)?adresse(?: ist| lautet| est)?|(?:courriel|correo|indirizzo|endereço|adres)(?: est| es| è| é| is)?",
)
NEAR_CUES = _pattern(r"it's|that's|is|ist|est|es|è|é|lautet|to|an|à")  # directly before an address
NOT_LOCAL_PARTS = frozenset(
    "look looking visit us me it is are be find found more out page site website web online available information here "
    "them him her there that this app store go see check buy and or now today".split()
)  # `look at example.com`

STREETS = _pattern(
    r"streets?|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|terrace|way|circle|crescent|"
    r"parkway|pkwy|highway|hwy|close|square|row|gardens"
)

# "I am" is not a cue: "I am sorry", "I'm Irish". `tail`: the words of a name stand before it.
NAME_CUES = _pattern(
    r"(?:(?:my|his|her|full|last|first|middle|maiden|family) )*(?:sur)?name(?:'s| is)(?: spelled)?",
    r"mr|mrs|ms|miss|mister|dr|doctor|professor|prof",
    r"(?:speaking|talking|speak|talk|spoke|talked|spoken) (?:to|with)|sir|madam|called",
    r"(?:hi|hello|hey|good morning|good afternoon|good evening) (?:this is|i'm|i am)",
    r"(?:under|in) the name(?: of)?|patient is|on behalf of",
    r"ich heiße|mein name ist|herr|frau|je m'appelle|mon nom est|monsieur|madame",
    r"me llamo|mi nombre es|señora?|don|doña",
    r"mi chiamo|il mio nome è|signora?|meu nome é|chamo-me|me chamo|senhora?|mijn naam is|ik heet|meneer|mevrouw",
)
SELF_CUES = _pattern(
    r"this is|i'm|i am|it's|hi|hello|hey|thanks|thank you|hier ist|ici|soy|sono|sou"
)  # before a known first name
NAME_TAILS = _pattern(r"(?:speaking|here|calling|on the line|am apparat|à l'appareil)")
