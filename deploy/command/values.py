"""Parse the values of arguments."""

import argparse
from typing import Any

TRUTH = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def whole(allowed: range) -> Any:
    def parse_whole(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) in allowed):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {allowed[0]} to {allowed[-1]}")
        return int(text)

    return parse_whole


def seconds(text: str) -> float:
    try:
        found_s = float(text)
    except ValueError:
        found_s = 0.0
    if not 0.05 <= found_s <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time from 0.05 to 3600 seconds")
    return found_s


def pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise argparse.ArgumentTypeError(f"{text!r} must have a name, = and a value")
    return name, value


def input_of(text: str) -> str:
    if not text:  # as of a variable that is not set; as a path it would be the current folder
        raise argparse.ArgumentTypeError("an input is empty. Write . for the current folder")
    return text


def truth(text: str) -> bool:
    try:
        return TRUTH[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false") from None


def is_text(argument: str) -> bool:
    """Whether an argument was valid UTF-8."""
    return argument.encode(errors="replace").decode() == argument
