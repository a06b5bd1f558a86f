"""The stores of the conformance tests, and their contents including incomplete blobs."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from shared.blobs.blob_store import BlobStore
from tests.support.storage.bucket import ACCESS_KEY, REGION, SECRET_KEY, Bucket
from tests.support.storage.container import ACCOUNT, ACCOUNT_KEY, Container
from tests.support.storage.files_below import files_below


class Store(msgspec.Struct, frozen=True):
    """An empty store. `contents` returns all keys and incomplete uploads."""

    url: str
    blobs: BlobStore
    contents: Callable[[], Awaitable[list[str]]]


def local_store(folder: Path) -> Store:
    def files() -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in files_below(folder))

    async def contents() -> list[str]:
        return files()

    return Store(folder.as_uri(), BlobStore(folder.as_uri()), contents)


def s3_store(bucket: Bucket) -> Store:
    async def contents() -> list[str]:
        return sorted([*await bucket.keys(), *await bucket.uploads()])

    return Store(bucket.url, BlobStore(bucket.url, retry_s=5), contents)


def azure_store(container: Container) -> Store:
    return Store(container.url, BlobStore(container.url, retry_s=5), container.keys)


def gcs_store(bucket: Bucket) -> Store:
    async def contents() -> list[str]:
        return sorted([*await bucket.keys(), *await bucket.uploads()])

    url = f"gs://{bucket.name}/{bucket.prefix}"
    return Store(url, BlobStore(url, retry_s=5), contents)


def memory_store() -> Store:
    blobs = BlobStore("memory:///")

    async def contents() -> list[str]:
        return sorted([blob.key async for page in blobs.walk("") for blob in page])

    return Store("memory:///", blobs, contents)


def environment(endpoint: str, *, secret_key: str = SECRET_KEY) -> Mapping[str, str]:
    """Return the environment variables for an S3 server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": secret_key,
    }


def azure_environment(endpoint: str) -> Mapping[str, str]:
    """Return the environment variables for an Azure server."""
    return {
        "AZURE_STORAGE_ENDPOINT": endpoint,
        "AZURE_ALLOW_HTTP": "true",
        "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
    }


def gcs_environment(endpoint: str) -> Mapping[str, str]:
    """Return the environment variables for a GCS server that requires no token."""
    account = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": ""}
    account["private_key_id"] = ""
    return {
        "GOOGLE_SERVICE_ACCOUNT_KEY": msgspec.json.encode(account).decode(),
        "GOOGLE_ALLOW_HTTP": "true",
    }
