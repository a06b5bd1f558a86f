import pytest

from tests.unit.redaction.spoken import redact


@pytest.mark.parametrize(
    "address",
    [
        "john dot smith at gmail dot com",
        "john.smith@gmail.com",
        "john smith at gmail.com",
        "j underscore smith eighty four at example dot co dot uk",
        "S-M-I-T-H at G-M-X dot D-E",
        "N O V A K at acme dot org",
        "info@ acme.com",
        "B as in bravo O B at proton.me",
    ],
)
def test_an_email_address_is_found_however_it_is_said(address: str) -> None:
    assert redact(f"My email is {address}, thanks.", kinds="email") == "My email is [EMAIL], thanks."


def test_an_email_address_is_found_without_announcement() -> None:
    assert redact("so bob at gmail dot com is right", kinds="email") == "so [EMAIL] is right"
    assert redact("ja max punkt muster at web punkt de", kinds="email", language="de") == "ja [EMAIL]"


@pytest.mark.parametrize(
    "address",
    [
        "james.evans.example.com",
        "via caf.60.example.co.uk",
        "susan evans 1972 at hotmail dot com",
        "john1984 at gmail.com",
    ],
)
def test_an_email_address_is_found_if_its_at_was_lost_or_its_parts_were_joined(address: str) -> None:
    assert redact(f"My email is {address}, thanks.", kinds="email") == "My email is [EMAIL], thanks."


def test_first_names_before_an_email_address_belong_to_it() -> None:
    assert redact("I use susan evans 1972 at hotmail dot com.", kinds="email") == "I use [EMAIL]."
    assert redact("Write to Nancy Brown on outlook.com, please.", kinds="email") == "Write to [EMAIL], please."
    assert redact("I looked at mark at example dot com.", kinds="email") == "I looked at [EMAIL]."


@pytest.mark.parametrize(
    "line",
    [
        "Go to gmail.com, or to outlook.com.",
        "Email us. Our page is example.com.",
        "Look at example.com for more.",
        "Please visit us at example dot com.",
        "We meet at the dot com office.",
        "He was at home, at nine.",
    ],
)
def test_a_web_site_is_no_email_address(line: str) -> None:
    assert redact(line, kinds="email") == line


@pytest.mark.parametrize(
    "address",
    ["one ninety two dot one sixty eight dot zero dot ten", "192.168.0.10", "1 9 2 dot 1 6 8 dot 0 dot 1 0", "fe80::1"],
)
def test_an_ip_address_is_found(address: str) -> None:
    assert redact(f"The server is {address}.", kinds="ip") == "The server is [IP]."


@pytest.mark.parametrize(
    "address", ["one twenty seven dot oh dot oh dot one", "ten dot oh dot oh dot two", "oh dot oh dot oh dot 8"]
)
def test_an_ip_address_has_zeros_between_dots(address: str) -> None:
    assert redact(f"It was {address}, yesterday.", kinds="ip") == "It was [IP], yesterday."


def test_the_name_of_an_ip_address_stands_for_one() -> None:
    lines = ["The IP address is 10 dot 0 dot 0 dot 1.", "The ticket is two two three oh eight."]
    assert redact(*lines, kinds="ip") == "The IP address is [IP]. The ticket is two two three oh eight."


def test_four_numbers_are_an_ip_address_if_they_are_called_so() -> None:
    assert redact("The IP address is 10 0 0 254.", kinds="ip") == "The IP address is [IP]."
    assert redact("The seats are 10 0 0 254.", kinds="ip") == "The seats are 10 0 0 254."
    assert redact("Version 300.1.2.3 at 10:30.", kinds="ip") == "Version 300.1.2.3 at 10:30."


@pytest.mark.parametrize(
    "iban",
    [
        "DE89 3704 0044 0532 0130 00",
        "D E eight nine, three seven zero four, double zero four four, zero five three two, zero one three zero, oh oh",
        "GB82 WEST 1234 5698 7654 32",
        "D as in delta E as in echo 89 3704 0044 0532 0130 00",
    ],
)
def test_an_iban_with_right_check_digits_needs_no_announcement(iban: str) -> None:
    assert redact(f"Send it to {iban}.", kinds="iban") == "Send it to [IBAN]."


def test_a_misheard_iban_is_found_if_it_is_named() -> None:
    assert redact("My IBAN is DE89 3704 0044 0532 0130 01.", kinds="iban") == "My IBAN is [IBAN]."


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("My router is 192|.168|.0|.254, I think.", "My router is [IP], I think."),
        ("It is 8|.8|.8|.8|.8 and 10.0.0.0.1.", "It is [IP] and [IP]."),
        ("Write to linden99 at proton|.me now.", "Write to [EMAIL] now."),
        ("My email is lint|.99 at example|.com", "My email is [EMAIL]"),
        ("It's john|@example|.com, yes.", "It's [EMAIL], yes."),
        ("My card is 45|.39|.62|.04737|.31|.94.", "My card is [CARD]."),
        ("My number is 212|.555|.0142, yes.", "My number is [PHONE], yes."),
        ("Pi is 3|.14159 and it costs 5|.05.", "Pi is 3.14159 and it costs 5.05."),
    ],
)
def test_words_that_are_written_as_one_are_read_as_one(line: str, expected: str) -> None:
    assert redact(line) == expected


@pytest.mark.parametrize(
    "iban",
    [
        "DE 8-9 30-7 oh 4 0 0 4 4 0 5 32 0 130 0 0",
        "F R 14, 2004, 10, 10, 05, 05, 013, MO26, 06",
    ],
)
def test_a_misheard_iban_needs_no_announcement(iban: str) -> None:
    assert redact(f"and so {iban}.", kinds="iban") == "and so [IBAN]."
