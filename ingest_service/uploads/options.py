"""Makes a submission's options out of texts: form fields, query parameters, or one JSON field `options`.

Whatever is unknown, given twice or invalid is refused by name. Reads no body itself.
"""

from typing import Any

import msgspec

from ingest_service.errors import RefusedError
from shared.schemas.options import SubmitOptions

OPTION_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(SubmitOptions)}
JSON_FIELD = "options"
SHOWN_CHARS = 64  # of a name that a client made up


class OptionTexts:
    """Collects options as they arrive, in any order, each at most once."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def add(self, name: str, text: str) -> None:
        """One field: an option as text, or the JSON object with several."""
        if name == JSON_FIELD:
            self.add_values(_json_object(text))
        else:
            self._keep(name, _convert(name, text, from_text=True))

    def add_values(self, values: dict[str, Any]) -> None:
        """Several options, as they stand in JSON."""
        for name, value in values.items():
            self._keep(name, _convert(name, value, from_text=False))

    def _keep(self, name: str, value: Any) -> None:
        if name in self._values:
            raise refused(name, "is given twice")
        self._values[name] = value

    def options(self) -> SubmitOptions:
        """All of them, with the rules between options applied. More may be added later and asked again."""
        try:
            return SubmitOptions(**self._values)
        except ValueError as error:
            raise RefusedError("invalid_option", f"{error}.") from error


def refused(name: str, why: str) -> RefusedError:
    """The refusal that names an option."""
    return RefusedError("invalid_option", f"`{name[:SHOWN_CHARS]}` {why}.")


def _convert(name: str, value: Any, *, from_text: bool) -> Any:
    if name not in OPTION_TYPES:
        raise refused(name, f"is not an option; options are {', '.join(OPTION_TYPES)}")
    try:
        if name == "metadata":
            return _metadata(value) if from_text else value
        converted = msgspec.convert(value, OPTION_TYPES[name], strict=not from_text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise refused(name, f"is invalid: {error}") from error
    if isinstance(converted, str) and "\x00" in converted:
        raise refused(name, "holds a NUL character")
    return converted


def _metadata(text: str) -> Any:
    return msgspec.json.decode(text)


def _json_object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise refused(JSON_FIELD, f"is not a JSON object: {error}") from error
