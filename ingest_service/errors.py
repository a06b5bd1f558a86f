"""What can go wrong in the ingest, as one tree. Libraries' errors are wrapped once, at their adapters.

IngestError                    a code of `problems.PROBLEMS` and a sentence for the client
├── RefusedError               the request cannot be served as it is: 4xx
│   └── LimitError             a tenant is over one of its limits: 429
├── OutageError                something we stand on is away or full: 5xx, worth another attempt
│   └── CommitUnknownError     it went away between COMMIT and its answer
└── ClientGoneError            nobody is left to answer
"""


class IngestError(Exception):
    """Base of all; `code` is a key of the table of problems."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class RefusedError(IngestError):
    """The client must change something before it asks again."""


class LimitError(RefusedError):
    """`quota_exceeded` or `rate_limited`: the same request may be let in after so many whole seconds."""

    def __init__(self, code: str, detail: str, retry_after_s: int) -> None:
        super().__init__(code, detail)
        self.retry_after_s = retry_after_s


class OutageError(IngestError):
    """The client may ask the same again later."""


class CommitUnknownError(OutageError):
    """Something broke between COMMIT and its answer: the job may exist, so its audio must stay."""


class ClientGoneError(IngestError):
    """The client closed the connection before its request was whole."""

    def __init__(self) -> None:
        super().__init__("client_gone", "The connection was closed before the upload was complete.")
