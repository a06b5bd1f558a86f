"""What can go wrong with a blob, and which of it an error of the store's library is."""

import errno

from obstore.exceptions import NotFoundError

from shared.blobs.describe_store_error import describe, says_full, says_no_bucket

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MISSING = (FileNotFoundError, NotFoundError)


class BlobStoreError(Exception):
    """The store did not do what was asked: it is away, full or refuses."""


class BlobNotFoundError(BlobStoreError):
    """There is no blob of that key."""


class BlobStoreFullError(BlobStoreError):
    """There is no room left: disk or quota."""


def wrapped(error: Exception) -> BlobStoreError:
    """What an error of obstore or of the operating system means to us."""
    if isinstance(error, MISSING) and not says_no_bucket(error):
        return BlobNotFoundError("no such blob")
    text = describe(error)
    full = getattr(error, "errno", None) in FULL or any(f"(os error {number})" in text for number in FULL)
    return BlobStoreFullError(text) if full or says_full(text) else BlobStoreError(text)
