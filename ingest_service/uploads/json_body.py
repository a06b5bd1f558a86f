"""A JSON object as the body of a request: a submission, or the options of a resumable upload."""

from typing import Any

from litestar.types import Receive

from ingest_service.client_json import ClientJsonError, decode_json
from ingest_service.errors import RefusedError
from ingest_service.uploads.body import read_body

JSON_TYPE = "application/json"
MAX_JSON_BYTES = 128 << 10  # the largest metadata may need three times its bytes for escapes


async def read_object(content_length: int | None, receive: Receive) -> dict[str, Any]:
    """Read the body. RefusedError `too_large`, `invalid_json` or `upload_stalled`; ClientGoneError."""
    if (content_length or 0) > MAX_JSON_BYTES:
        raise _too_large()
    data = await _whole(receive)
    try:
        return decode_json(data, dict[str, Any], enclosing=1)
    except ClientJsonError as error:
        raise RefusedError("invalid_json", f"The body must be a JSON object: {error}.") from error


async def _whole(receive: Receive) -> bytes:
    data = bytearray()
    async for piece in read_body(receive):
        data += piece
        if len(data) > MAX_JSON_BYTES:
            raise _too_large()
    return bytes(data)


def _too_large() -> RefusedError:
    return RefusedError("too_large", f"A JSON body may have at most {MAX_JSON_BYTES} bytes.")
