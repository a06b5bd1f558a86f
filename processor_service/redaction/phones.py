"""Which digits are a phone number: by the plans of phonenumbers, in the countries of a language."""

import phonenumbers

REGIONS = {
    "da": ("DK",),
    "de": ("DE", "AT", "CH"),
    "en": ("US", "GB", "IE", "AU"),
    "es": ("ES", "MX"),
    "fr": ("FR", "BE", "CH"),
    "it": ("IT", "CH"),
    "nl": ("NL", "BE"),
    "pt": ("PT", "BR"),
}
ANYWHERE = ("US", "GB")
FEWEST_DIGITS = 8
NORTH_AMERICAN_DIGITS = 10


def is_phone(digits: str, language: str | None) -> bool:
    """Whether a number is one of the countries of a language, or, with `+` before it, of any country.

    A number of North America counts also if its area code is not in use: numbers of examples are such.
    """
    if digits.startswith("+"):
        return _is_valid(digits, None)
    if len(digits) < FEWEST_DIGITS:
        return False
    regions = REGIONS.get(language or "", ANYWHERE)
    is_american = "US" in regions and _is_north_american(digits)
    return is_american or any(_is_valid(digits, region) for region in regions)


def _is_valid(digits: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False


def _is_north_american(digits: str) -> bool:
    local = digits.removeprefix("1")
    return len(local) == NORTH_AMERICAN_DIGITS and local[0] in "23456789" and local[3] in "23456789"
