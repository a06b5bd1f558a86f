"""What can go wrong with set-up.

SetUpError
└── NotFoundError
"""


class SetUpError(Exception):
    """The environment could not be made; the message is one line."""


class NotFoundError(SetUpError):
    """An index does not have a package, or `unreachable`: it could not be asked."""

    def __init__(self, message: str, *, unreachable: bool) -> None:
        super().__init__(message)
        self.unreachable = unreachable
