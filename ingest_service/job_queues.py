"""Chooses the queue of a new job: by its option `queue`, else by its tenant, else by its model, else `default`."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from ingest_service.errors import RefusedError
from shared.queue.dispatch import DEFAULT_QUEUE_NAME
from shared.schemas.options import SubmitOptions

ModelQueue = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}=[a-z][a-z0-9-]{0,31}$(?!\n)",
        description="`<model>=<queue>`, such as `large-v3=gpu`",
    ),
]


class JobQueues(msgspec.Struct, frozen=True, kw_only=True):
    """The queues that processors serve, besides `default`, and the queues of models."""

    names: tuple[str, ...] = ()
    of_models: Mapping[str, str] = {}

    def require(self, name: str | None) -> None:
        """Raise RefusedError for a queue that no setting names. None: the client names none."""
        known = (DEFAULT_QUEUE_NAME, *self.names)
        if name is not None and name not in known:
            listed = ", ".join(f"`{one}`" for one in dict.fromkeys(known))
            raise RefusedError("invalid_option", f"`queue` must be one of {listed}.")

    def choose(self, options: SubmitOptions, *, of_tenant: str | None) -> str:
        """Return the name of a job's queue."""
        of_model = self.of_models.get(options.model or "")
        return options.queue or of_tenant or of_model or DEFAULT_QUEUE_NAME


def queues_of_models(pairs: tuple[ModelQueue, ...]) -> dict[str, str]:
    """Convert the setting."""
    return dict(pair.split("=", 1) for pair in pairs)
