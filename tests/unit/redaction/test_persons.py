import pytest

from tests.unit.redaction.spoken import redact


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("My name is Adaeze Okonkwo.", "My name is [NAME]."),
        ("Hi, this is Zyx speaking.", "Hi, this is [NAME] speaking."),
        ("Thank you, Mr. Okonkwo, bye.", "Thank you, Mr. [NAME], bye."),
        ("I asked Maria about it.", "I asked [NAME] about it."),
        ("My last name is spelled N-O-V-A-K.", "My last name is spelled [NAME]."),
        ("The booking is under the name Rajesh Iyer.", "The booking is under the name [NAME]."),
        ("It's Emma Nguyen, N G U Y E N.", "It's [NAME]."),
        ("It's Emma Nguyen, that's spelled N-G-U-Y-E-M.", "It's [NAME], that's spelled [NAME]."),
        ("We saw Emma, A B C and D.", "We saw [NAME], A B C and D."),
        ("mein Name ist Jörg Müller", "mein Name ist [NAME]"),
    ],
)
def test_names_are_announced_or_known(line: str, expected: str) -> None:
    assert redact(line, kinds="name") == expected


def test_a_name_that_was_found_is_found_again() -> None:
    text = redact("My name is Adaeze Okonkwo.", "So Okonkwo with a K, and Adaeze is the first name.", kinds="name")
    assert text == "My name is [NAME]. So [NAME] with a K, and [NAME] is the first name."


@pytest.mark.parametrize(
    "line",
    ["I will go in May.", "Mark the date, please.", "I am sorry. I'm Irish.", "Rose is a color.", "The job is done."],
)
def test_words_that_are_also_names_stay(line: str) -> None:
    assert redact(line, kinds="name") == line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("I was born on March third, nineteen eighty four.", "I was born on [DATE_OF_BIRTH]."),
        ("Date of birth? 3/14/1984.", "Date of birth? [DATE_OF_BIRTH]."),
        ("My birthday is the third of May 1990.", "My birthday is the [DATE_OF_BIRTH]."),
        ("My date of birth is oh three fourteen eighty four.", "My date of birth is [DATE_OF_BIRTH]."),
        ("We met on March third, nineteen eighty four.", "We met on March third, nineteen eighty four."),
        ("I was born in Boston, and I am forty.", "I was born in Boston, and I am forty."),
    ],
)
def test_a_date_of_birth_is_announced(line: str, expected: str) -> None:
    assert redact(line, kinds="date_of_birth") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("I live at 1600 Pennsylvania Avenue, Washington.", "I live at [ADDRESS]."),
        ("It's twenty three Baker Street, apartment 5, in London.", "It's [ADDRESS], in London."),
        ("It is the third house on the street.", "It is the third house on the street."),
        ("We drove 20 miles on the road.", "We drove 20 miles on the road."),
    ],
)
def test_an_address_has_a_number_and_a_street(line: str, expected: str) -> None:
    assert redact(line, kinds="address") == expected
