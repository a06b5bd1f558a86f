"""Parses the options of a submission: form fields, query parameters, or one JSON field `options`.

An option that is unknown, repeated or invalid is refused by name.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from ingest_service.client_json import METADATA_FORM, ClientJsonError, check_metadata, decode_json
from ingest_service.errors import RefusedError
from shared.allowed_values import allowed, why_refused
from shared.schemas.called_urls import why_never_called
from shared.schemas.job_parts import why_contradictory
from shared.schemas.key_terms import FORMS
from shared.schemas.known_speakers import KNOWN_FORM, NAMES_FORM, NewKnownSpeakers
from shared.schemas.options import INTERNAL_OPTIONS, SubmitOptions
from shared.schemas.results_to import FORM as RESULTS_FORM
from shared.schemas.results_to import TO_FIELD, canonical, why_nowhere
from shared.schemas.webhooks import MAX_WEBHOOKS, JobWebhook, SentWebhooks
from shared.secret import Secret, decode_secret

OPTION_TYPES: dict[str, Any] = {
    field.name: field.type for field in msgspec.structs.fields(SubmitOptions) if field.name not in INTERNAL_OPTIONS
}
JSON_FIELD = "options"
JSON_FORMS = {"speaker_names": NAMES_FORM, "known_speakers": KNOWN_FORM}  # options that fields have as JSON
SUBMITTED_TYPES = OPTION_TYPES | {"known_speakers": NewKnownSpeakers}  # without unknown fields
REPEATABLE = "keyterms"  # a field of a form may repeat: generated clients send a list so
MAX_SHOWN_CHARS = 64  # of a client's option name, in an error message


RequireServed = Callable[[SubmitOptions], None]  # raises RefusedError for what no processor does for the tenant
RequireServedFor = Callable[[str, SubmitOptions], None]  # the same, with the tenant


def anything(_: SubmitOptions) -> None:
    """Require nothing of the options."""


def anything_for(_tenant: str, _: SubmitOptions) -> None:
    """Require nothing of the options of any tenant."""


class OptionCollector:
    """Collects options in any order, each at most once but for REPEATABLE.

    `only`: the options that are accepted. `given`: more values.
    """

    def __init__(self, only: Collection[str] = OPTION_TYPES, **given: Any) -> None:
        self._only = only
        self._values = given
        self._checked: SubmitOptions | None = None  # made of all values so far

    def add(self, name: str, text: str) -> None:
        """Add one field: an option as text, or the JSON object with several."""
        if name == JSON_FIELD:
            self.add_json(text)
        elif name == REPEATABLE and name in self._values:
            more = self._convert(name, text, from_text=True)
            self._keep(name, self._convert(name, (*self._values.pop(name), *more), from_text=False))
        else:
            self._keep(name, self._convert(name, text, from_text=True))

    def add_json(self, text: str | bytes) -> None:
        """Add options from the text of a JSON object."""
        self.add_values(_json_object(text))

    def add_values(self, values: Mapping[str, Any]) -> None:
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
        self._checked = None

    def options(self) -> SubmitOptions:
        """All options so far, checked against each other. More may be added later."""
        if self._checked is None:
            try:
                self._checked = SubmitOptions(**self._values)
            except ValueError as error:
                raise RefusedError("invalid_option", f"{error}.") from error
            if problem := why_contradictory(self._checked):
                self._checked = None
                raise RefusedError("invalid_option", problem)
        return self._checked


def invalid_option(name: str, why: str) -> RefusedError:
    """The error that names an option."""
    return RefusedError("invalid_option", f"`{name[:MAX_SHOWN_CHARS]}` {why}.")


def unknown_option(name: str, known: Collection[str]) -> RefusedError:
    """The error for a name that is not an option."""
    return invalid_option(name, f"is not an option. Options: {', '.join(known)}")


def _convert(name: str, value: Any, *, from_text: bool) -> Any:
    if name == "metadata":
        return _metadata(value, from_text=from_text)
    if name in JSON_FORMS:
        return _of_json(name, value, from_text=from_text)
    if name in FORMS:
        return _key_terms(name, value, from_text=from_text)
    if name == TO_FIELD:
        return _results_to(value, from_text=from_text)
    if name == "webhooks":
        return _webhooks(value, from_text=from_text)
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


def _of_json(name: str, value: Any, *, from_text: bool) -> Any:
    try:
        decoded = decode_json(value, object) if from_text else value
        msgspec.convert(decoded, SUBMITTED_TYPES[name])
        return msgspec.convert(decoded, OPTION_TYPES[name])
    except ClientJsonError as error:
        raise invalid_option(name, f"must be {JSON_FORMS[name]}: {error}") from error
    except msgspec.ValidationError as error:
        why = why_refused(error, SUBMITTED_TYPES[name])
        is_whole = why.startswith("The value")
        raise invalid_option(name, f"must be {JSON_FORMS[name]}" if is_whole else f"is refused: {why}") from error


def _key_terms(name: str, value: Any, *, from_text: bool) -> Any:
    try:
        given = _lines_or_json(name, value) if from_text else value
        return msgspec.convert(given, OPTION_TYPES[name])
    except (msgspec.MsgspecError, ClientJsonError) as error:
        raise invalid_option(name, f"must be {FORMS[name]}") from error


def _lines_or_json(name: str, text: str) -> Any:
    if name == "keyterms" and not text.lstrip().startswith("["):
        return [line.strip() for line in text.splitlines() if line.strip()]
    return decode_json(text, object)


def _metadata(value: Any, *, from_text: bool) -> Any:
    try:
        decoded = decode_json(value, object) if from_text else value
        check_metadata(decoded)
    except ClientJsonError as error:
        raise invalid_option("metadata", f"must be {METADATA_FORM}: {error}") from error
    return decoded


def _results_to(value: Any, *, from_text: bool) -> Secret:
    """Read a folder or an object of URLs. An object may be JSON in a text."""
    try:
        is_object = from_text and isinstance(value, str) and value.lstrip().startswith("{")
        text = canonical(decode_json(value, dict[str, Any], enclosing=1) if is_object else value)
    except ClientJsonError as error:
        raise invalid_option(TO_FIELD, f"{RESULTS_FORM}: {error}") from error
    if text is None:
        raise invalid_option(TO_FIELD, RESULTS_FORM)
    if problem := why_nowhere(text):
        raise invalid_option(TO_FIELD, problem)
    return Secret(text)


def _webhooks(value: Any, *, from_text: bool) -> tuple[JobWebhook, ...]:
    try:
        decoded = decode_json(value, list[Any]) if from_text else value
        webhooks = msgspec.convert(decoded, SentWebhooks, dec_hook=decode_secret)
    except ClientJsonError as error:
        raise invalid_option("webhooks", f"must be a JSON list: {error}") from error
    except msgspec.ValidationError as error:
        why = why_refused(error, SentWebhooks)
        raise invalid_option("webhooks", f"must be a list of at most {MAX_WEBHOOKS} webhooks. {why}") from error
    for webhook in webhooks:
        if problem := why_never_called(webhook.url):
            raise invalid_option("webhooks", f"has a `url` that cannot be called. It {problem}")
    return webhooks


def _json_object(text: str | bytes) -> dict[str, Any]:
    try:
        return decode_json(text, dict[str, Any], enclosing=1)
    except ClientJsonError as error:
        raise invalid_option(JSON_FIELD, f"must be a JSON object: {error}") from error
