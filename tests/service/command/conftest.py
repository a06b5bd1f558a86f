"""An S3 server."""

from tests.support.storage.fixtures import bucket, seaweedfs

__all__ = ["bucket", "seaweedfs"]
