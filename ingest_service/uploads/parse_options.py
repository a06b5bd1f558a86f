"""Parses the options of a submission: form fields, query parameters, or one JSON field `options`.

An option that is unknown, repeated or invalid is refused by name.
"""

from collections.abc import Collection
from typing import Any

import msgspec

from ingest_service.client_json import ClientJsonError, check_metadata, decode_json
from ingest_service.errors import RefusedError, why_invalid
from shared.schemas.options import SubmitOptions
from shared.secret import Secret, decode_secret

OPTION_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(SubmitOptions)}
JSON_FIELD = "options"
MAX_SHOWN_CHARS = 64  # of a client's option name, in an error message


class OptionCollector:
    """Collects options in any order, each at most once. `only`: the options that are accepted."""

    def __init__(self, only: Collection[str] = OPTION_TYPES) -> None:
        self._only = only
        self._values: dict[str, Any] = {}

    def add(self, name: str, text: str) -> None:
        """Add one field: an option as text, or the JSON object with several."""
        if name == JSON_FIELD:
            self.add_json(text)
        else:
            self._keep(name, self._convert(name, text, from_text=True))

    def add_json(self, text: str | bytes) -> None:
        """Add options from the text of a JSON object."""
        self.add_values(_json_object(text))

    def add_values(self, values: dict[str, Any]) -> None:
        """Add options from a JSON object."""
        for name, value in values.items():
            self._keep(name, self._convert(name, value, from_text=False))

    def _convert(self, name: str, value: Any, *, from_text: bool) -> Any:
        if name not in self._only:
            raise invalid_option(name, f"is not an option. Options: {', '.join(self._only)}")
        return _convert(name, value, from_text=from_text)

    def _keep(self, name: str, value: Any) -> None:
        if name in self._values:
            raise invalid_option(name, "is given twice")
        self._values[name] = value

    def options(self) -> SubmitOptions:
        """All options so far, checked against each other. More may be added later."""
        try:
            return SubmitOptions(**self._values)
        except ValueError as error:
            raise RefusedError("invalid_option", f"{error}.") from error


def invalid_option(name: str, why: str) -> RefusedError:
    """The error that names an option."""
    return RefusedError("invalid_option", f"`{name[:MAX_SHOWN_CHARS]}` {why}.")


def _convert(name: str, value: Any, *, from_text: bool) -> Any:
    try:
        if name == "metadata":
            return _metadata(decode_json(value, object) if from_text else value)
        converted = msgspec.convert(value, OPTION_TYPES[name], strict=not from_text, dec_hook=decode_secret)
    except (msgspec.MsgspecError, ClientJsonError) as error:
        raise invalid_option(name, f"is invalid: {why_invalid(error)}") from error
    shown = converted.reveal() if isinstance(converted, Secret) else converted
    if isinstance(shown, str) and "\x00" in shown:
        raise invalid_option(name, "contains a NUL character")
    return converted


def _metadata(value: Any) -> Any:
    check_metadata(value)
    return value


def _json_object(text: str | bytes) -> dict[str, Any]:
    try:
        return decode_json(text, dict[str, Any], enclosing=1)
    except ClientJsonError as error:
        raise invalid_option(JSON_FIELD, f"is not a JSON object: {error}") from error
