"""The errors of the command.

CommandError            one line, for the person at the terminal: exit status 1
├── UsageError          wrong arguments: exit status 2
├── ApiError            an answer of the service that is a problem
├── UnreachableError    no answer
└── SourceError         a file that cannot be read, or changed during its upload
"""


class CommandError(Exception):
    """The command, or the work on one file, cannot go on."""

    code = "error"


class UsageError(CommandError):
    """The arguments are wrong."""

    code = "usage"


class ApiError(CommandError):
    """The service answered with a problem; `retry_after_s` is its wish, if it has one."""

    def __init__(self, status: int, code: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


class UnreachableError(CommandError):
    """No connection, or one that broke before the answer."""

    code = "unreachable"


class SourceError(CommandError):
    """The file is missing, unreadable, or changed while it was read."""

    code = "unreadable_file"
