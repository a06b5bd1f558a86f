"""The exceptions of the ingest. Errors of libraries are wrapped once, in their adapters.

IngestError                    a code of PROBLEM_TYPES and a detail for the client
├── RefusedError               the client must change the request: 4xx
│   └── LimitError             a quota or rate limit is exceeded: 429
├── OutageError                a dependency is unavailable or full: 5xx, the client may try again
│   └── CommitUnknownError     the connection broke between COMMIT and its answer
└── ClientGoneError            the client closed the connection
"""


class IngestError(Exception):
    """The base. `code` is a key of PROBLEM_TYPES; an empty `detail` stands for the table's detail."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class RefusedError(IngestError):
    """The client must change the request."""


class LimitError(RefusedError):
    """`quota_exceeded` or `rate_limited`. The same request may succeed after `retry_after_s` whole seconds."""

    def __init__(self, code: str, detail: str, retry_after_s: int) -> None:
        super().__init__(code, detail)
        self.retry_after_s = retry_after_s


class OutageError(IngestError):
    """A dependency is unavailable or full. The client may try again later."""


class CommitUnknownError(OutageError):
    """The connection broke between COMMIT and its answer. The job may exist, so its audio must stay."""


class ClientGoneError(IngestError):
    """The client closed the connection before the request was complete."""

    def __init__(self) -> None:
        super().__init__("client_gone", "The connection was closed before the upload was complete.")
