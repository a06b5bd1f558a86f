"""Opens a bucket: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`. Asks its server nothing yet.

Who we are and where it is comes from the provider's own variables, which obstore reads: `AWS_*`, `GOOGLE_*`, `AZURE_*`.
How long we are patient is ours: a server that is away must fail a request before its client has given up.
"""

from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore.store import AzureStore, GCSStore, MemoryStore, ObjectStore, S3Store

CONNECT_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
ANY_NUMBER = 1000  # of retries: the time ends them
BUCKETS: dict[str, type[S3Store | GCSStore | AzureStore]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
SCHEMES = ", ".join(f"{scheme}://" for scheme in ("file", *BUCKETS))


def open_bucket(url: str, *, timeout_s: float, retry_s: float) -> ObjectStore:
    """The bucket of a URL; `memory:` is one that ends with the process. Raises obstore's BaseError and ValueError.

    `timeout_s`: the longest that one request may take. `retry_s`: a request that fails by the network or a 5xx is not
    begun again later than this after it was first.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme not in BUCKETS or not parts.netloc:
        raise ValueError(f"the URL is none of {SCHEMES}, or names no bucket")
    # As `config`, not as `client_options`: those would undo AWS_ALLOW_HTTP, AWS_PROXY_URL and their like.
    config: Any = {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(timeout_s, CONNECT_TIMEOUT_S)),
    }
    return BUCKETS[parts.scheme](
        parts.netloc,
        prefix=unquote(parts.path).strip("/") or None,
        config=config,
        retry_config={
            "max_retries": ANY_NUMBER,
            "retry_timeout": timedelta(seconds=retry_s),
            "backoff": {
                "init_backoff": timedelta(seconds=FIRST_PAUSE_S),
                "max_backoff": timedelta(seconds=LONGEST_PAUSE_S),
                "base": 2,
            },
        },
    )
