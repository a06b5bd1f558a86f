"""The `s3://bucket/key` URLs that clients give, and the buckets and folders that the service's operator allows. Pure.

The ingest refuses a URL outside them; the processor checks again before each request. Keys are taken as they are
written: nothing is decoded. A key that another program could decode to one of another folder is refused.
"""

import re
from collections.abc import Collection, Sequence
from typing import Annotated, NamedTuple
from urllib.parse import unquote

import msgspec

SCHEME = "s3://"
TENANT = "{tenant}"
URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.*)", re.DOTALL)
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
MAX_KEY_BYTES = 1024  # of S3
MAX_DECODINGS = 8  # of a key that was encoded several times

FORM = (
    "must be s3://bucket/key: no empty part, no `.` or `..` as a part, also percent-encoded, and no control characters "
    "or backslashes"
)

# In a setting: `bucket` or `bucket/folder`. `{tenant}` stands for the tenant's name.
BucketFolder = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[^/\\%\x00-\x1f\x7f]+)*$(?!\n)",
        description="a bucket, or a bucket and a folder, such as audio or audio/{tenant}/incoming",
    ),
]


class BucketUrl(NamedTuple):
    """An object of a bucket, or a folder if the key ends with a slash."""

    bucket: str
    key: str

    @property
    def root(self) -> str:
        """The URL of the bucket."""
        return f"{SCHEME}{self.bucket}"


def parse_bucket_url(url: str) -> BucketUrl | None:
    """Return the parts of an object's URL; None if it is not of the form."""
    found = URL.fullmatch(url)
    if found is None or not is_safe_key(found["key"]):
        return None
    return BucketUrl(found["bucket"], found["key"])


def parse_folder_url(url: str) -> BucketUrl | None:
    """Return the parts of a folder's URL, whose key ends with a slash or is empty; None if it is not of the form."""
    found = URL.fullmatch(url if url.endswith("/") else f"{url}/")
    if found is None or (found["key"] and not is_safe_key(found["key"].removesuffix("/"))):
        return None
    return BucketUrl(found["bucket"], found["key"])


def is_safe_key(key: str) -> bool:
    """Return whether a key stays in its folder for every program that reads it, however often it decodes it."""
    if not key.isprintable() or len(key.encode()) > MAX_KEY_BYTES:
        return False
    for _ in range(MAX_DECODINGS):
        if UNSAFE.search(key) or any(part in {"", ".", ".."} for part in key.split("/")):
            return False
        decoded = unquote(key)
        if decoded == key:
            return True
        key = decoded
    return False


def is_allowed(url: BucketUrl, folders: Collection[str], tenant: str) -> bool:
    """Return whether an object, or a folder, is in one of the folders that a setting allows to a tenant."""
    path = f"{url.bucket}/{url.key}"
    return any(path.startswith(f"{folder}/") for folder in folders_of(folders, tenant))


def folders_of(folders: Collection[str], tenant: str) -> Sequence[str]:
    """Return the folders of a setting for a tenant."""
    return [folder.replace(TENANT, tenant) for folder in folders]


def shown_folders(folders: Collection[str], tenant: str) -> str:
    """Return the folders for a refusal."""
    return ", ".join(f"{SCHEME}{folder}/" for folder in folders_of(folders, tenant))


def bucket_of(storage_url: str) -> str:
    """Return the name of the bucket of a storage URL; empty if it has none."""
    scheme, _, rest = storage_url.partition("://")
    return "" if scheme == "file" else rest.partition("/")[0]
