"""Parses the options of a submission: form fields, query parameters, or one JSON field `options`.

An option that is unknown, repeated or invalid is refused by name.
"""

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from ingest_service.client_json import METADATA_FORM, ClientJsonError, check_metadata, decode_json
from ingest_service.errors import RefusedError
from shared.allowed_values import allowed
from shared.schemas.called_urls import why_never_called
from shared.schemas.options import INTERNAL_OPTIONS, SubmitOptions
from shared.secret import Secret, decode_secret

OPTION_TYPES: dict[str, Any] = {
    field.name: field.type for field in msgspec.structs.fields(SubmitOptions) if field.name not in INTERNAL_OPTIONS
}
JSON_FIELD = "options"
MAX_SHOWN_CHARS = 64  # of a client's option name, in an error message


RequireModel = Callable[[str | None], None]  # raises RefusedError for a model that no processor has


def any_model(_: str | None) -> None:
    """Require nothing of a model."""


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
            raise unknown_option(name, self._only)
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


def unknown_option(name: str, known: Collection[str]) -> RefusedError:
    """The error for a name that is not an option."""
    return invalid_option(name, f"is not an option. Options: {', '.join(known)}")


def _convert(name: str, value: Any, *, from_text: bool) -> Any:
    if name == "metadata":
        return _metadata(value, from_text=from_text)
    try:
        converted = msgspec.convert(value, OPTION_TYPES[name], strict=not from_text, dec_hook=decode_secret)
    except msgspec.MsgspecError as error:
        raise invalid_option(name, f"must be {allowed(OPTION_TYPES[name])}") from error
    shown = converted.reveal() if isinstance(converted, Secret) else converted
    if isinstance(shown, str) and "\x00" in shown:
        raise invalid_option(name, "must not contain a NUL character")
    if name == "webhook_url" and shown and (problem := why_never_called(shown)):
        raise invalid_option(name, problem)
    return converted


def _metadata(value: Any, *, from_text: bool) -> Any:
    try:
        decoded = decode_json(value, object) if from_text else value
        check_metadata(decoded)
    except ClientJsonError as error:
        raise invalid_option("metadata", f"must be {METADATA_FORM}: {error}") from error
    return decoded


def _json_object(text: str | bytes) -> dict[str, Any]:
    try:
        return decode_json(text, dict[str, Any], enclosing=1)
    except ClientJsonError as error:
        raise invalid_option(JSON_FIELD, f"must be a JSON object: {error}") from error
