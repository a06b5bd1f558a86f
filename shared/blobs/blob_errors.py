"""What can go wrong with a blob, and which of it an error of the store's library is."""

import errno
import re

from obstore.exceptions import NotFoundError

# Says in one line that may be logged what went wrong in the blob store.
#
# Obstore's own text repeats the server's answer, in which S3 may echo signed headers, among them a session's token.
# Of the answer only the status and its code are kept, and of a URL not its query.

ANSWERED = re.compile(r"Error performing (\w+) .* - Server returned non-2xx status code: (\d{3}[ \w]*)")
IN_BODY = re.compile(r"Error performing (\w+) .* - Server returned error response: ")  # of a 200, as S3 may have it
CODE = re.compile(r"<Code>(\w+)</Code>|\"(?:code|error)\": ?\"(\w+)\"")
QUERY = re.compile(r"\?\S*")
DEBUG = "\n\nDebug source:"  # what follows is long, and for developers of obstore
NO_HTTP = "source: BadScheme"
SYSTEM = re.compile(r'kind: \w+,\s+message: "([^"]+)"')  # what the operating system said
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
FULL_STATUS = "507"


def describe(error: Exception) -> str:
    """The kind of failure; for an answer of the server its status and code."""
    text, _, debug = str(error).partition(DEBUG)
    kind = type(error).__name__
    if answered := ANSWERED.search(text) or IN_BODY.search(text):
        method, status = (*answered.groups(), "an error")[:2]
        return f"{kind}: {method} was answered with {status.strip()}{_code(text)}"
    line = QUERY.sub("", text.partition("<")[0].partition("\n")[0].strip())
    if NO_HTTP in debug:
        return f"{kind}: {line}; an http:// endpoint needs AWS_ALLOW_HTTP=true"
    said = SYSTEM.search(debug)
    return f"{kind}: {line}" + (f" ({said[1]})" if said else "")


def _code(body: str) -> str:
    found = CODE.search(body)
    return f" ({found[1] or found[2]})" if found else ""


def says_no_bucket(error: Exception) -> bool:
    """Whether not the blob, but its bucket is missing; a HEAD, which is answered without a body, cannot tell."""
    return any(f"<Code>{code}</Code>" in str(error) for code in NO_BUCKET)


def says_full(description: str) -> bool:
    """Whether the bucket has no room."""
    return f"answered with {FULL_STATUS}" in description


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
