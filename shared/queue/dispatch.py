"""What travels through Redis: a task id and its dispatch number, in arq's wire format, packed by msgspec.

Never pickle: whoever can write to Redis could then run code in a worker. The keys and the job layout are those of
arq 0.28.0 (`arq.constants`, `arq.jobs.serialize_job`); a contract test feeds them to a real arq worker.
"""

from uuid import UUID

import msgspec

from shared.schemas.states import TaskKind

COMPUTE_QUEUE = "arq:queue"
DELIVERY_QUEUE = "arq:queue:deliver"  # apart, so that a slow webhook endpoint never holds a transcription slot
ARQ_JOB_KEY_PREFIX = "arq:job:"
ARQ_IN_PROGRESS_KEY_PREFIX = "arq:in-progress:"
ARQ_RETRY_KEY_PREFIX = "arq:retry:"
ARQ_FUNCTION = "run_task"
PROCESSOR_SEEN_KEY = "headrace:processor-seen"  # every processor that polls sets it; its age shows when one did last
PROCESSOR_SEEN_TTL_MS = 24 * 3600 * 1000  # an older sign of a processor is forgotten
PAYLOAD_TTL_MS = 30 * 24 * 3600 * 1000  # longer than any backlog; the row in Postgres outlives it anyway


class Dispatch(msgspec.Struct, frozen=True):
    """One ring of the bell: this task, for the n-th time. A new number makes arq see a new job."""

    task_id: UUID
    dispatch_no: int
    kind: TaskKind
    tenant: str = "default"  # in whose share of the queue it stands
    cost_s: int = 1  # what it takes of that share; see shared/queue/task_costs.py
    has_begun: bool = False  # an attempt began before: its turn is paid for

    @property
    def arq_id(self) -> str:
        return f"{self.task_id}.{self.dispatch_no}"

    @property
    def previous(self) -> "Dispatch":
        """The dispatch that this one replaces."""
        return msgspec.structs.replace(self, dispatch_no=self.dispatch_no - 1)

    @property
    def queue(self) -> str:
        return DELIVERY_QUEUE if self.kind is TaskKind.DELIVER else COMPUTE_QUEUE


def processor_name(host: str, pid: int) -> str:
    """What a processor process is called in leases and in Redis."""
    return f"{host}:{pid}"


def arq_health_key(queue: str, processor: str) -> str:
    """What arq sets every few seconds, for some seconds, while a processor looks for work in a queue."""
    return f"{queue}:health:{processor}"


def dispatch_of(arq_id: str, queue: str) -> Dispatch | None:
    """The dispatch behind a member of a queue, which tells its kind no better than itself. None: not one of ours."""
    task_id, _, number = arq_id.rpartition(".")
    try:
        kind = TaskKind.DELIVER if queue == DELIVERY_QUEUE else TaskKind.PREPARE
        return Dispatch(UUID(task_id), int(number), kind)
    except ValueError:
        return None


def serialize(value: object) -> bytes:
    """arq's `job_serializer`. Exceptions are not encodable, so unknown objects become their repr."""
    return msgspec.msgpack.encode(value, enc_hook=repr)


def deserialize(data: bytes) -> dict[str, object]:
    """arq's `job_deserializer`."""
    return msgspec.msgpack.decode(data, type=dict[str, object])


def arq_payload(dispatch: Dispatch, *, enqueued_at_ms: int) -> bytes:
    """The value of `arq:job:<id>`: function name and arguments, as arq lays them out."""
    arguments = (str(dispatch.task_id), dispatch.dispatch_no)
    return serialize({"t": None, "f": ARQ_FUNCTION, "a": arguments, "k": {}, "et": enqueued_at_ms})
