"""The errors of the blob store, and the translation of the library's errors into them."""

import re

from obstore.exceptions import NotFoundError

from shared.disk_reserve import FULL

# Obstore's text repeats the server's answer, in which S3 may echo signed headers, such as a session token. A log line
# keeps only the status and the code of the answer, and no query of a URL.

ANSWERED = re.compile(r"Error performing (\w+) .* - Server returned non-2xx status code: (\d{3}[ \w]*)")
IN_BODY = re.compile(r"Error performing (\w+) .* - Server returned error response: ")  # S3 may send one with status 200
CODE = re.compile(r"<Code>(\w+)</Code>|\"(?:code|error)\": ?\"(\w+)\"")
QUERY = re.compile(r"\?\S*")
DEBUG = "\n\nDebug source:"  # followed by details for developers of obstore
NO_HTTP = "source: BadScheme"
SYSTEM = re.compile(r'kind: \w+,\s+message: "([^"]+)"')  # the operating system's message
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
FULL_STATUS = "507"


def describe(error: Exception) -> str:
    """Describe an error in one line without secrets: its kind; for a server's answer its status and code."""
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
    """Whether the bucket is missing, not the blob. The answer to a HEAD has no body and never says so."""
    return any(f"<Code>{code}</Code>" in str(error) for code in NO_BUCKET)


def says_full(description: str) -> bool:
    """Whether a description says that the bucket is full."""
    return f"answered with {FULL_STATUS}" in description


MISSING = (FileNotFoundError, NotFoundError)


class BlobStoreError(Exception):
    """The blob store is unavailable or full, or it refused the request."""


class BlobNotFoundError(BlobStoreError):
    """There is no blob with this key."""


class BlobStoreFullError(BlobStoreError):
    """The disk or its quota is full."""


def wrapped(error: Exception) -> BlobStoreError:
    """Translate an error of obstore or of the operating system."""
    if isinstance(error, MISSING) and not says_no_bucket(error):
        return BlobNotFoundError("no such blob")
    text = describe(error)
    full = getattr(error, "errno", None) in FULL or any(f"(os error {number})" in text for number in FULL)
    return BlobStoreFullError(text) if full or says_full(text) else BlobStoreError(text)
