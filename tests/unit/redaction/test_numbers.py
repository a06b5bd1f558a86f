import re

import pytest

from tests.unit.redaction.spoken import redact

CARD = "four one one one, two two two two, three three three three, four four four five"


@pytest.mark.parametrize(
    "number",
    [
        CARD,
        "4111 2222 3333 4445",
        "4111-2222-3333-4445",
        "4 1 1 1, 2 2 2 2, 3 3 3 3, 4 4 4 5",
        "forty one eleven, twenty two twenty two, thirty three thirty three, forty four forty five",
        "four triple one, double two double two, three three three three, four four four five",
        "four oh one one, two two two two, three three oh three, four four four five",
        "four one one one, to two too two, three three three three, for four four five",
    ],
)
def test_a_card_number_is_found_however_it_is_said(number: str) -> None:
    assert redact(f"My card is {number}.", kinds="card") == "My card is [CARD]."


def test_a_card_number_is_found_over_turns_and_answers() -> None:
    lines = [
        "What is your card number?",
        "four one one one",
        "Okay, go on please.",
        "two two two two",
        "Uh huh.",
        "three three three three four four",
        "And the rest?",
        "four five. Thank you for the five calls.",
    ]
    assert redact(*lines, kinds="card") == (
        "What is your card number? [CARD] Okay, go on please. [CARD] Uh huh. [CARD] And the rest? "
        "[CARD]. Thank you for the five calls."
    )


def test_the_code_and_the_expiry_of_a_card_belong_to_it() -> None:
    text = redact(f"My card is {CARD}.", "It expires oh four twenty seven, the CVV is one two three.", kinds="card")
    assert text == "My card is [CARD]. It expires [CARD], the CVV is [CARD]."
    assert redact("My card expires 04/27.", kinds="card") == "My card expires [CARD]."


def test_a_misheard_digit_hides_no_card() -> None:
    """The check digit is wrong, and a digit is missing."""
    assert redact("The card is 4111 2222 3333 4449.", kinds="card") == "The card is [CARD]."
    assert redact("The card is 4111 2222 3333 444.", kinds="card") == "The card is [CARD]."
    assert redact("So it is 4111 2222 3333 4449.", kinds="card") == "So it is [CARD]."


@pytest.mark.parametrize(
    "number",
    [
        "two one two, five five five, oh one four two",
        "212-555-0142",
        "(212) 555-0142",
        "212.555.0142",
        "+1 212 555 0142",
        "one two one two five double five oh one four two",
        "two twelve, five fifty five, oh one forty two",
    ],
)
def test_a_phone_number_needs_no_announcement(number: str) -> None:
    assert redact(f"So that was {number}, thanks.", kinds="phone") == "So that was [PHONE], thanks."


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("meine Nummer ist null eins sieben sechs zwei drei vier fünf sechs sieben acht", "de"),
        ("mon numéro est zéro six douze trente-quatre cinquante-six soixante-dix-huit", "fr"),
        ("mi teléfono es seis uno dos tres cuatro cinco seis siete ocho", "es"),
        ("il mio telefono è tre tre tre uno due tre quattro cinque sei sette", "it"),
        ("o meu telefone é nove um dois três quatro cinco seis sete oito", "pt"),
        ("mijn telefoon is nul zes een twee drie vier vijf zes zeven acht", "nl"),
    ],
)
def test_phone_numbers_are_found_in_other_languages(line: str, language: str) -> None:
    text = redact(line, kinds="phone", language=language)
    assert text.endswith(" [PHONE]")
    assert text.count("[") == 1


def test_a_social_security_number_is_named_or_has_its_form() -> None:
    assert redact("My social is one two three, four five, six seven eight nine.") == "My social is [SSN]."
    assert redact("It is 123-45-6789, I think.") == "It is [SSN], I think."
    assert redact("The last four of my social are 6789.") == "The last four of my social are [SSN]."
    assert redact("We met on social media in 2019.", kinds="ssn") == "We met on social media in 2019."


def test_an_account_number_is_one_that_is_named() -> None:
    assert redact("My account number is four five six seven eight nine.") == "My account number is [ACCOUNT]."
    assert redact("The ticket is four five six seven eight nine.") == "The ticket is four five six seven eight nine."


@pytest.mark.parametrize(
    "line",
    [
        "In 2019, 2020, 2021 and 2022 we had 20, 30, 40 and 50 people.",
        "Your order number is 2125550142.",
        "We are open from nine to five, and from ten to two on Saturday.",
        "It costs two hundred and forty nine dollars and ninety nine cents.",
        "One, two, three, four: the card is on the table.",
        "Call me at five, or at half past seven.",
        "Count one, two, three, four, five, six, seven, eight, nine, ten.",
        "ten, nine, eight, seven, six, five, four, three, two, one, go",
        "The lottery numbers are four, eight, fifteen, sixteen, twenty three and forty two.",
        "They won the match six four, three six, six two, seven five, six four.",
        "The train leaves at seven fifteen, eight fifteen, nine forty five and ten fifty.",
        "It leaves at 7 15, 8 15, 21 45 and 22 50.",
    ],
)
def test_other_numbers_stay(line: str) -> None:
    assert redact(line) == line


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("My cell is area code six one seven, then five double five, oh one, eighty eight.", "phone"),
        ("Charge it to 4916, 8073, 2255, and MAM4419.", "card"),
        ("The card is 4916 8073 2265 and uh4419", "card"),
        ("My SSN is free 7983580.", "ssn"),
        ("The number of my phone is 212525.", "phone"),
        ("The number here is 0 8 100 5 5 5 12 12.", "phone"),
        ("Ring me back, 1-8-3-5-5-1-9.", "phone"),
        ("It says 08 29, the security code is 731.", "card"),
    ],
)
def test_a_number_that_was_written_in_part_is_found(line: str, kind: str) -> None:
    text = redact(line, kinds=kind)
    assert f"[{kind.upper()}]" in text
    assert not any(sign.isdigit() for sign in text)


@pytest.mark.parametrize(
    "behind",
    [
        "It takes about 45 minutes, maybe an hour.",
        "The first one was fine, the second and the third were broken.",
        "This one is mine, and 20 percent of it.",
    ],
)
def test_what_counts_something_is_no_part_of_an_incomplete_number(behind: str) -> None:
    assert redact("My cell is 212, 525, 396.", behind, kinds="phone") == f"My cell is [PHONE]. {behind}"


def test_the_last_part_of_a_number_is_found_behind_its_count() -> None:
    lines = ["My card is 4111 2222 3333.", "And the last four?", "The last four are 4445."]
    assert redact(*lines, kinds="card") == "My card is [CARD]. And the last four? The last four are [CARD]."


@pytest.mark.parametrize("before", ["", "Call us!", "They called me.", "You can reach us from nine thirty on."])
@pytest.mark.parametrize(
    "scores",
    [
        "They won six four, three six, six two, seven five, six four.",
        "It ended 6-4, 3-6, 7-6, 7-5.",
        "It ended 21-19, 19-21, 21-17.",
        "We won twenty five twenty three, nineteen twenty five, twenty five ten, and fifteen thirteen.",
        "We won 64, 36, 62 and 75.",
        "Eleven nine, seven eleven, fourteen twelve.",
    ],
)
def test_results_of_sets_are_no_phone_number(before: str, scores: str) -> None:
    lines = [line for line in (before, scores) if line]
    assert redact(*lines) == " ".join(lines)


@pytest.mark.parametrize("hours", ["between nine thirty and five forty five", "from 9 30 until 17 45, or until 18 15"])
def test_hours_to_call_are_no_phone_number(hours: str) -> None:
    assert redact(f"Call us {hours}, please.") == f"Call us {hours}, please."


@pytest.mark.parametrize(
    "line",
    [
        "Call us on {21 19 19 21 21}.",
        "Call me when you get in, {five five five one two three four}.",
        "You can reach me at the office, it is {4 1 5 5 5 1 2}.",
        "My cell is {six four, three six, six two, seven five}.",
        "Ring me back between five and seven. The number is {06 12 21 19 23}.",
    ],
)
def test_a_number_behind_an_invitation_to_call_is_found(line: str) -> None:
    assert redact(line.replace("{", "").replace("}", "")) == re.sub(r"\{.*\}", "[PHONE]", line)


def test_an_invitation_to_call_names_no_number_far_behind() -> None:
    line = "Call us if it should ever happen again, because we had the same with all the others, in 28117 or in 49260."
    assert redact(line) == line


def test_the_name_of_a_kind_stands_for_one_number() -> None:
    text = redact(f"My card is {CARD}.", "In two thousand nineteen we had twenty or thirty, now one hundred and fifty.")
    assert text == "My card is [CARD]. In two thousand nineteen we had twenty or thirty, now one hundred and fifty."


def test_only_the_kinds_that_were_asked_for_are_redacted() -> None:
    line = "Call 212-555-0142, my card is 4111 2222 3333 4445."
    assert redact(line, kinds="phone") == "Call [PHONE], my card is 4111 2222 3333 4445."
    assert redact(line, kinds="card") == "Call 212-555-0142, my card is [CARD]."
