"""Decodes all JSON that clients send: bodies, form fields, query parameters and headers. No other module decodes it.

Deep nesting exhausts the stack of parsers and encoders, ours and those of every client that reads it back.
"""

import re
from contextlib import suppress
from itertools import accumulate
from typing import Any, TypeVar, cast

import msgspec
from litestar import Request

from ingest_service.errors import RefusedError
from shared.allowed_values import allowed, why_refused

MAX_DEPTH = 32  # arrays and objects inside each other
MAX_METADATA_BYTES = 16 << 10  # as JSON without spaces: a page of jobs holds 200
MAX_NODES = MAX_METADATA_BYTES // 2 + 2  # arrays and objects: no more fit into metadata
METADATA_FORM = f"JSON of at most {MAX_METADATA_BYTES} bytes and {MAX_DEPTH} levels"
MAX_NODES_OF_ROUTE = "max_json_nodes"  # in the `opt` of a route whose body may have more
BYTE = re.compile(r"\(byte (\d+)\)\Z")
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
OPENING = b"[{"

T = TypeVar("T")


class ClientJsonError(ValueError):
    """The text is not JSON of the wanted type, or nested too deep. The message is for the client."""


def decode_json(text: bytes | str, wanted: type[T], *, enclosing: int = 0, max_nodes: int = MAX_NODES) -> T:
    """Decode a client's JSON. `enclosing`: levels that the text adds around the client's own values.

    `max_nodes`: the most arrays and objects.

    Raises ClientJsonError.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        if not is_shallow(data, MAX_DEPTH + enclosing, max_nodes):
            raise _too_deep(max_nodes)
        return msgspec.json.Decoder(wanted).decode(data)
    except RecursionError:
        raise _too_deep(max_nodes) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ClientJsonError(_why_no_json(error, data, wanted)) from error


def _why_no_json(error: Exception, data: bytes, wanted: Any) -> str:
    """Return a sentence about text that is not JSON, or not of the wanted type. It repeats none of the text."""
    if not data.strip():
        return "it is empty"
    if isinstance(error, msgspec.ValidationError) and wanted is not object:
        return f"the value is not {allowed(wanted)}"
    at = BYTE.search(str(error))
    return f"it is no valid JSON at byte {at[1]}" if at else "it is no valid JSON, or it ends too early"


def is_shallow(data: bytes, max_depth: int, max_nodes: int = MAX_NODES) -> bool:
    """Return whether JSON has at most `max_depth` levels, and at most `max_nodes` arrays and objects.

    Costs at most milliseconds for the largest body, because it runs on the event loop.
    """
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return True
    brackets = _without_strings(data).translate(None, NO_BRACKETS)
    if len(brackets) > 2 * max_nodes:
        return False
    return max(accumulate(1 if bracket in OPENING else -1 for bracket in brackets), default=0) <= max_depth


def _without_strings(data: bytes) -> bytes:
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(unescaped.split(b'"')[::2])


def check_metadata(value: Any) -> None:
    """Raise ClientJsonError if a decoded `metadata` is larger or deeper than a job may keep."""
    encoded = msgspec.json.encode(value)
    if len(encoded) > MAX_METADATA_BYTES:
        raise ClientJsonError(f"it has {len(encoded)} bytes, but may have at most {MAX_METADATA_BYTES}")
    if not is_shallow(encoded, MAX_DEPTH):
        raise _too_deep()


def _too_deep(max_nodes: int = MAX_NODES) -> ClientJsonError:
    return ClientJsonError(
        f"it has more than {MAX_DEPTH} levels of arrays and objects, or more than {max_nodes} of them"
    )


class BoundedRequest(Request[Any, Any, Any]):
    """The request of every route: a JSON body is decoded and converted here.

    The framework would take a number for a time, and text for a number.
    """

    async def json(self) -> Any:
        """Return the body as the route's type. RefusedError `invalid_json` or `invalid_parameter`."""
        body = await self.body()
        max_nodes = self.route_handler.opt.get(MAX_NODES_OF_ROUTE, MAX_NODES)
        try:
            decoded = decode_json(body or b"null", cast(type[Any], Any), enclosing=1, max_nodes=max_nodes)
        except ClientJsonError as error:
            raise RefusedError("invalid_json", f"The body must be JSON: {error}.") from error
        field = self.route_handler.parsed_data_field
        return decoded if field is None else _converted(decoded, field.annotation)


def _converted(decoded: Any, wanted: Any) -> Any:
    with suppress(msgspec.ValidationError):
        return msgspec.convert(decoded, wanted)
    try:
        return msgspec.convert(_with_integers(decoded), wanted)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid_parameter", f"{why_refused(error, wanted)}.") from error


def _with_integers(value: Any) -> Any:
    """Return decoded JSON with `5.0` as an integer, which it is for JSON Schema."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_with_integers(each) for each in value]
        case dict():
            return {name: _with_integers(each) for name, each in value.items()}
        case _:
            return value
