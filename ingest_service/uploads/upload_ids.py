"""Ids of uploads that are not jobs yet, as clients name them. Pure."""

from uuid import UUID

from ingest_service.errors import RefusedError


def parse_upload_id(text: str) -> UUID:
    """The id as a client wrote it. One that cannot be is like one that is not: RefusedError `not_found`."""
    try:
        upload_id = UUID(text)
    except ValueError:
        raise no_such_upload() from None
    if str(upload_id) != text.lower():  # UUID() takes braces and prefixes, too
        raise no_such_upload()
    return upload_id


def no_such_upload() -> RefusedError:
    """The refusal for an upload that is not there, or is somebody else's."""
    return RefusedError("not_found", "There is no such upload.")
