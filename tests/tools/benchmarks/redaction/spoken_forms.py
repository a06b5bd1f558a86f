"""Short utterances with personal data in the forms that people speak, and utterances whose numbers are of no person.

The personal data is between braces. No other word of its utterance is a number. Nothing is real: numbers are those of
documentation, of fiction, and of test accounts.
"""

import re
from typing import NamedTuple

from shared.schemas.redaction import RedactedKind

PERSONAL: dict[str, tuple[str, ...]] = {
    RedactedKind.CARD: (
        "My card number is {four one one one, two two two two, three three three three, four four four five}.",
        "It's a Visa, {four five three two, seven double five one, oh oh eight one, double nine two six}.",
        "Sure, {fifty one oh five, ten fifty one, oh five ten, fifty one hundred}, that is the Mastercard.",
        "American Express, {three seven eight two, eight two two four six three, one triple zero five}.",
        "The long number is {five five five five, four triple four, double two double one, four three double oh}.",
        "Charge it to {four nine one six, um, eight oh seven three, two two six five, and then four four one nine}.",
        "My credit card, {forty five thirty nine, sixty two eighteen, oh four seventy seven, thirty one ninety four}.",
        "The card is {six oh one one, treble zero, nine nine, oh one three, nine four two four}.",
        "No, the whole number, {four zero one two, eight triple eight, triple eight, one eight eight one}.",
        "It expires in {zero eight, twenty nine}, and the security code is {seven three one}.",
        (
            "My debit card starts with {four seven one six}, then {nine three zero two}, then {five five one eight}, "
            "and at the end {two zero six seven}."
        ),
    ),
    RedactedKind.PHONE: (
        "You can call me at {two one two, five five five, oh one four two}.",
        "My mobile is {oh seven seven double oh, nine hundred, one two three}.",
        "Reach me on {plus four four, twenty, seven nine four six, oh nine five eight}.",
        "The number here is {eight hundred, five five five, twelve twelve}.",
        "It's {four one five. Five five five. Two six seven one}.",
        "Ring me back, {one eight hundred, five five five, oh one nine nine}.",
        "My cell is area code {six one seven}, then {five double five, oh one, eighty eight}.",
        "{Three one two, triple five, zero one seven three} is the best number for me.",
        "Call my office, {two oh six, five five five, zero one hundred}.",
        "In London it's {oh two oh, seven nine four six, oh double one eight}.",
        "Text me at {five five five, zero one three four}.",
    ),
    RedactedKind.EMAIL: (
        "My email is {john dot smith at gmail dot com}.",
        "Send it to {mary underscore miller eighty four at yahoo dot com}.",
        "It's {j dot carter at acme dot co dot uk}.",
        "Write to {nancy hyphen brown at outlook dot com}, please.",
        "You can reach me at {peter at larsen dot org}.",
        "My address is {D A V I D at example dot net}.",
        "The email is {info dot sales two at my company dot com}.",
        "I use {susan evans nineteen seventy two at hotmail dot com}, all lower case.",
        "{Robert plus news at icloud dot com}, that is my email.",
        "It's {T as in tango, K as in kilo, murphy, at gmail dot com}.",
        "My email is {linda ninety nine, at, proton mail, dot, com}.",
    ),
    RedactedKind.IBAN: (
        (
            "My IBAN is {D E eight nine, three seven oh four, double oh double four, oh five three two, "
            "oh one three oh, double oh}."
        ),
        (
            "The IBAN is {G B eighty two, W E S T, one two three four, five six nine eight, seven six five four, "
            "three two}."
        ),
        "Please transfer it to {N L ninety one, A B N A, oh four one seven, one six four three, double zero}.",
        (
            "The account is {E S nine one, two one zero zero, zero four one eight, four five zero two, "
            "zero zero zero five, one three three two}."
        ),
        "I B A N, {F R one four, twenty oh four, ten ten, oh five oh five, triple oh one three, M oh two six oh six}.",
        (
            "Send the refund to IBAN {D E, eight nine, thirty seven, oh four, zero zero, forty four, oh five, "
            "thirty two, oh one, thirty, zero zero}."
        ),
        "It goes to {B E six eight, five three nine zero, zero seven five four, seven zero three four}.",
        (
            "My bank account, {A T six one, one nine oh four, three double oh two, three four five seven, "
            "three two oh one}."
        ),
    ),
    RedactedKind.IP: (
        "The server is at {one ninety two dot one sixty eight dot one dot ten}.",
        "The IP address is {ten dot zero dot zero dot one}.",
        "My router is {one nine two, dot, one six eight, dot, zero, dot, two five four}.",
        "It resolves to {two oh three dot zero dot one one three dot forty two}.",
        "Connect to {one hundred seventy two point sixteen point five point twenty two}.",
        "IP address, {one twenty seven dot oh dot oh dot one}.",
        "We blocked {eight dot eight dot eight dot eight} yesterday.",
    ),
    RedactedKind.SSN: (
        "My social security number is {one two three, four five, six seven eight nine}.",
        "The social is {two one nine, oh nine, double nine double nine}.",
        "It's my social, {four five seven, fifty five, fifty four sixty two}.",
        "My S S N is {three oh one dash two two dash eight seven four one}.",
        "The last digits of my social are {six seven two one}.",
        "Social security, {one oh eight, um, sixty three, and then seven one, oh four}.",
        "For the social I have {five two one, double seven, three three one eight}.",
    ),
    RedactedKind.NAME: (
        "My name is {Adaeze Okonkwo}.",
        "Hi, this is {Susan Taylor} speaking.",
        "You are speaking with {Thomas Larsen}.",
        "Thank you, Mrs. {Kowalski}, for waiting.",
        "I talked to {Patricia} about it yesterday.",
        "The account is under the name {Rajesh Iyer}.",
        "My last name is spelled {N O V A K}.",
        "The booking is for {Emma Nguyen}, {N G U Y E N}.",
        "Could you put {Daniel Murphy} on the line?",
        "The patient is {Maria Garcia}.",
        "I'm {Carlos Haddad}, and I am calling about the bill.",
    ),
}

ORDINARY = (
    "The war lasted from nineteen fourteen to nineteen eighteen, the next from nineteen thirty nine to forty five.",
    "In two thousand eight, two thousand twelve, two thousand sixteen and two thousand twenty they won.",
    "We won twenty one fourteen, twenty one seventeen, and twenty five twenty three.",
    "They won the match six four, three six, six two, seven five, six four.",
    "The train leaves at seven fifteen, eight fifteen, nine forty five and ten fifty.",
    "Call us between nine thirty and five forty five, Monday to Friday.",
    "It has three hundred twenty seven million, one hundred sixty seven thousand, four hundred and thirty four people.",
    "Add two hundred grams of flour, one hundred and fifty of sugar, three eggs and fifty of butter.",
    "Count with me, one, two, three, four, five, six, seven, eight, nine, ten.",
    "And now ten, nine, eight, seven, six, five, four, three, two, one, go.",
    "Flight B A two eight nine, gate forty two, seat eighteen C.",
    "Channels two, four, five, seven, nine and eleven are down.",
    "Look at chapters ten, twenty, thirty, forty, fifty and sixty.",
    "The lottery numbers are four, eight, fifteen, sixteen, twenty three and forty two.",
    "It costs nineteen ninety nine, or thirty four ninety five with the case.",
    "Version two dot four dot one came out in March.",
    "We drove twenty miles on the road to Boston, in thirty minutes.",
    "The card game has fifty two cards, four suits and two jokers.",
    "I was there at nine, and he called at ten, eleven, and twelve.",
)

BRACED = re.compile(r"\{([^}]*)\}")


class Utterance(NamedTuple):
    """What is said. `spans`: the characters of the personal data, in order."""

    kind: str
    text: str
    spans: tuple[tuple[int, int], ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the personal data."""
        return tuple(self.text[start:end] for start, end in self.spans)

    @property
    def others(self) -> str:
        """Return the words around the personal data."""
        rest, at = "", 0
        for start, end in self.spans:
            rest += self.text[at:start] + " "
            at = end
        return rest + self.text[at:]


def utterances() -> list[Utterance]:
    """Return all utterances with personal data."""
    return [_utterance(kind, marked) for kind, some in PERSONAL.items() for marked in some]


def _utterance(kind: str, marked: str) -> Utterance:
    # Each brace before a span is not in the text.
    spans = [(one.start() - 2 * at, one.end() - 2 - 2 * at) for at, one in enumerate(BRACED.finditer(marked))]
    return Utterance(kind, BRACED.sub(r"\1", marked), tuple(spans))
