"""Makes up calls with personal data, as people speak it: digits one by one, in pairs, doubled, in parts and over turns.

Nothing in them is real: card numbers have a right check digit, phone numbers are of exchanges for fiction.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from shared.schemas.redaction import RedactedKind

ONES = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
FIRST = "James Mary Robert Patricia Wei Linda David Aisha Carlos Susan Thomas Olga Daniel Priya Matthew Nancy".split()
LAST = "Miller Okafor Nguyen Schmidt Garcia Brown Kowalski Taylor Haddad Evans Larsen Murphy Rossi Novak Carter".split()
STREETS = "Maple Oak Washington Lake Hill Cedar Park Elm Pine Sunset Church Mill River Spring Highland".split()
TOWNS = "Springfield Dayton Boston Denver Portland Austin Chicago Columbus Tucson".split()
HOSTS = "gmail.com yahoo.com outlook.com example.com acme.org example.co.uk mail.example.net".split()
BACKCHANNELS = ("Okay.", "Mhm.", "Got it.", "Yes, go ahead.", "Right.", "Uh huh.")
DECOYS = (
    "Your order number is {digits6}, and it ships in three to five days.",
    "The total is two hundred and forty nine dollars and ninety nine cents.",
    "We are open from nine to five, Monday to Friday, and ten to two on Saturday.",
    "In two thousand nineteen we had twenty or thirty of these, now it is one hundred and fifty.",
    "Please look at our website, at example dot com, under support.",
    "Your ticket is number {digits5}, I will keep it open until May.",
    "It takes about forty five minutes, maybe an hour, and costs ninety five dollars.",
    "The first one was fine, the second and the third were broken.",
)


class Line(NamedTuple):
    """What one speaker says. `entity`: the characters that are personal data, of a kind; None: there are none."""

    text: str
    entity: tuple[int, int] | None = None
    kind: str = ""


Call = tuple[Line, ...]


class Said(NamedTuple):
    """Personal data with the words around it. In several parts, the other speaker answers between them."""

    before: str
    parts: tuple[str, ...]
    behind: str = ""


def made_up_calls(seed: int, each: int) -> list[Call]:
    """Return calls with so many entities of each kind, one a call, each between lines that have none."""
    chance = random.Random(seed)
    return [_call(chance, kind, make(chance)) for kind, make in MAKERS.items() for _ in range(each)]


def _call(chance: random.Random, kind: str, said: Said) -> Call:
    lines = [Line(_decoy(chance))]
    for number, part in enumerate(said.parts):
        before = said.before if number == 0 else ""
        behind = said.behind if number == len(said.parts) - 1 else ""
        text = f"{before} {part}{behind or '.'}".strip()
        start = text.index(part)
        if number:
            lines.append(Line(chance.choice(BACKCHANNELS)))
        lines.append(Line(text, (start, start + len(part)), kind))
    return (*lines, Line(_decoy(chance)))


def _decoy(chance: random.Random) -> str:
    digits = [str(chance.randrange(10)) for _ in range(6)]
    return chance.choice(DECOYS).format(digits6=_one_by_one(chance, digits), digits5=_one_by_one(chance, digits[:5]))


def _digits(chance: random.Random, count: int) -> list[str]:
    return [str(chance.randrange(10)) for _ in range(count)]


def _one_by_one(chance: random.Random, digits: Sequence[str]) -> str:
    zero = chance.choice(["zero", "oh"])
    words: list[str] = []
    at = 0
    while at < len(digits):
        name = zero if digits[at] == "0" else ONES[int(digits[at])]
        is_double = at + 1 < len(digits) and digits[at] == digits[at + 1] and chance.random() < 0.4
        words += ["double", name] if is_double else [name]
        at += 2 if is_double else 1
    return " ".join(words)


def _number(value: int) -> str:
    """Return a number under 10,000 in words."""
    if value >= 1000:
        return f"{_number(value // 100)} {_number(value % 100)}" if value % 100 else f"{_number(value // 100)} hundred"
    if value >= 100:
        rest = f" and {_number(value % 100)}" if value % 100 else ""
        return f"{ONES[value // 100]} hundred{rest}"
    if value < 10:
        return ONES[value]
    if value < 20:
        return TEENS[value - 10]
    return TENS[value // 10] + (f" {ONES[value % 10]}" if value % 10 else "")


def _grouped(chance: random.Random, digits: Sequence[str], lengths: Sequence[int]) -> list[str]:
    groups, at = [], 0
    for length in lengths:
        group = digits[at : at + length]
        is_paired = length % 2 == 0 and chance.random() < 0.25 and all(pair != "0" for pair in group[::2])
        pairs = [_number(int(group[number] + group[number + 1])) for number in range(0, length - 1, 2)]
        groups.append(" ".join(pairs) if is_paired else _one_by_one(chance, group))
        at += length
    return groups


def _parts(chance: random.Random, groups: Sequence[str]) -> tuple[str, ...]:
    """Say groups in one turn, in two, or one in each."""
    style = chance.random()
    if style < 0.6:
        return (", ".join(groups),)
    if style < 0.8 and len(groups) > 2:
        half = len(groups) // 2
        return ", ".join(groups[:half]), ", ".join(groups[half:])
    return tuple(groups)


def _card(chance: random.Random) -> Said:
    digits = [chance.choice("456"), *_digits(chance, 14)]
    total = sum(sum(divmod(int(one) * (2 if at % 2 == 0 else 1), 10)) for at, one in enumerate(digits))
    digits.append(str(-total % 10))
    before = [
        "My card number is",
        "Sure, it's a Visa,",
        "The credit card is",
        "Okay, the number on the card is",
        "It's",
    ]
    return Said(chance.choice(before), _parts(chance, _grouped(chance, digits, (4, 4, 4, 4))))


def _phone(chance: random.Random) -> Said:
    area = chance.choice(["212", "415", "312", "617", "206"])
    digits = [*area, *"555", *_digits(chance, 4)]
    before = ["You can call me at", "My phone number is", "My cell is", "The best number is", "It's", "Reach me at"]
    return Said(chance.choice(before), _parts(chance, _grouped(chance, digits, (3, 3, 4))))


def _ssn(chance: random.Random) -> Said:
    digits = [chance.choice("1234"), *_digits(chance, 8)]
    before = ["My social security number is", "The social is", "My social is", "Sure, my S S N is"]
    return Said(chance.choice(before), _parts(chance, _grouped(chance, digits, (3, 2, 4))))


def _account(chance: random.Random) -> Said:
    digits = _digits(chance, chance.choice([8, 9, 10]))
    before = ["My account number is", "The account number is", "My policy number is", "The routing number is"]
    return Said(chance.choice(before), (_one_by_one(chance, digits),))


def _email(chance: random.Random) -> Said:
    first, last, host = chance.choice(FIRST).lower(), chance.choice(LAST).lower(), chance.choice(HOSTS)
    year = _number(chance.randrange(60, 99))
    local = chance.choice(
        [f"{first} dot {last}", f"{first[0]} {last} {year}", f"{first} underscore {last}", f"{first} {year}"]
    )
    if chance.random() < 0.2:
        local = " ".join(last.upper())
    before = ["My email is", "You can write to", "Send it to", "It's", "My email address is", "The email is"]
    return Said(chance.choice(before), (f"{local} at {host.replace('.', ' dot ')}",))


def _iban(chance: random.Random) -> Said:
    country, length = chance.choice([("DE", 18), ("NL", 14), ("FR", 23), ("ES", 20)])
    bank = list("ABNA") if country == "NL" else []
    account = [*bank, *_digits(chance, length - len(bank))]
    check = 98 - int("".join(str(int(sign, 36)) for sign in [*account, *country, "0", "0"])) % 97
    signs = [*country, *f"{check:02}", *account]
    words = [sign if sign.isalpha() else ONES[int(sign)] for sign in signs]
    before = ["My IBAN is", "The IBAN is", "Please transfer it to"]
    return Said(chance.choice(before), (", ".join(" ".join(words[at : at + 4]) for at in range(0, len(words), 4)),))


def _ip(chance: random.Random) -> Said:
    numbers = [chance.choice([10, 192, 172, 203]), *(chance.randrange(1, 255) for _ in range(3))]
    before = ["The IP address is", "The server is at", "It's", "My router has"]
    spoken = chance.choice([_number, lambda value: _one_by_one(chance, str(value))])
    return Said(chance.choice(before), (" dot ".join(map(spoken, numbers)),))


def _born(chance: random.Random) -> Said:
    month, day, year = chance.choice(MONTHS), chance.choice(DAYS), chance.randrange(1950, 1999)
    before = chance.choice(["I was born on", "My date of birth is", "My birthday is", "Date of birth,"])
    if chance.random() < 0.5:
        return Said(before, (f"{month} {day}, {_number(year)}",))
    return Said(f"{before} the", (f"{day} of {month}, {_number(year)}",))


def _address(chance: random.Random) -> Said:
    street = f"{chance.choice(STREETS)} {chance.choice(['Street', 'Avenue', 'Road', 'Drive', 'Lane'])}"
    town = f", {chance.choice(TOWNS)}" if chance.random() < 0.5 else ""
    before = ["I live at", "My address is", "Please send it to", "It's"]
    return Said(chance.choice(before), (f"{_number(chance.randrange(10, 2000))} {street}{town}",))


def _name(chance: random.Random) -> Said:
    first, last = chance.choice(FIRST), chance.choice(LAST)
    style = chance.random()
    if style < 0.4:
        return Said(chance.choice(["My name is", "Hi, this is", "You are speaking with"]), (f"{first} {last}",))
    if style < 0.6:
        return Said(chance.choice(["Good morning, Mr.", "Thank you, Mrs.", "I spoke to Dr."]), (last,))
    if style < 0.8:
        return Said("I talked to", (first,), " about this yesterday.")
    return Said("Hello,", (f"{first} {last}",), " speaking.")


MAKERS: dict[str, Callable[[random.Random], Said]] = {
    RedactedKind.CARD: _card,
    RedactedKind.PHONE: _phone,
    RedactedKind.EMAIL: _email,
    RedactedKind.IBAN: _iban,
    RedactedKind.IP: _ip,
    RedactedKind.SSN: _ssn,
    RedactedKind.ACCOUNT: _account,
    RedactedKind.DATE_OF_BIRTH: _born,
    RedactedKind.ADDRESS: _address,
    RedactedKind.NAME: _name,
}
