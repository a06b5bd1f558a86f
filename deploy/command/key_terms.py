"""The arguments for key terms and replacements of `transcribe`."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from deploy.command.errors import UsageError
from deploy.command.values import is_text, pair
from shared.schemas.key_terms import FORMS, MAX_TERMS, Replacements, Terms

MAX_FILE_BYTES = 1 << 20  # more than MAX_TERMS terms can have


def add_key_terms(group: Any) -> None:
    """Add the arguments to a group."""
    group.add_argument(
        "--keyterm", action="append", metavar="TERM", help="a name, phrase or spelling to expect; repeatable"
    )
    group.add_argument("--keyterms-file", action="append", metavar="FILE", help="key terms, one a line; repeatable")
    group.add_argument(
        "--replace", action="append", type=pair, metavar="FIND=WRITE", help="write other words; repeatable"
    )


def key_terms_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a job. Raise UsageError."""
    lines = [line for path in chosen.keyterms_file or () for line in _lines(path)]
    terms = tuple(dict.fromkeys([*(chosen.keyterm or ()), *lines]))
    replacements = dict(chosen.replace or ())
    if len(terms) > MAX_TERMS:
        raise UsageError(f"There are {len(terms)} key terms. A job has at most {MAX_TERMS}")
    for term in terms:
        _check("keyterms", "key term", term, (term,))
    for find, write in replacements.items():
        _check("replacements", "replacement", f"{find}={write}", {find: write})
    _check("replacements", "number of replacements", str(len(replacements)), replacements)
    return {"keyterms": terms, "replacements": replacements}


def _check(option: str, kind: str, shown: str, value: Any) -> None:
    try:
        msgspec.convert(value, Terms if option == "keyterms" else Replacements)
    except msgspec.ValidationError:
        raise UsageError(f"{shown!r} is no valid {kind}. `{option}` must be {FORMS[option]}") from None
    if not is_text(shown):
        raise UsageError(f"{shown!r} is no valid {kind}: it is not UTF-8")


def _lines(path: str) -> list[str]:
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")  # without the mark that some editors write
    except OSError as error:
        raise UsageError(f"Cannot read the key terms in {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"The key terms in {path} are not UTF-8") from None
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{path} has more than {MAX_FILE_BYTES} bytes: it is no file of key terms")
    return [line.strip() for line in text.splitlines() if line.strip()]
