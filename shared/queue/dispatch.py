"""The messages in Redis: a task id and its dispatch number, in arq's wire format, encoded by msgspec.

Never pickle: write access to Redis would then be enough to run code in a worker. The keys and the job layout are those
of arq 0.28.0 (`arq.constants`, `arq.jobs.serialize_job`); a contract test feeds them to a real arq worker.
"""

import re
from uuid import UUID

import msgspec

from shared.schemas.states import TaskKind

COMPUTE_QUEUE = "arq:queue"  # of jobs without a named queue
NAMED_QUEUE_PREFIX = "arq:queues:"  # followed by the name of a queue
DEFAULT_QUEUE_NAME = "default"
DELIVERY_QUEUE = "arq:queue:deliver"  # separate: a slow webhook endpoint never holds a transcription slot
FETCH_QUEUE = "arq:queue:fetch"  # nor does the slow server of an `audio_url`
SUMMARY_QUEUE = "arq:queue:summarize"  # nor does a chat provider
KIND_OF_QUEUE = {DELIVERY_QUEUE: TaskKind.DELIVER, SUMMARY_QUEUE: TaskKind.SUMMARIZE}
ARQ_JOB_KEY_PREFIX = "arq:job:"
ARQ_FUNCTION = "run_task"
PROCESSOR_SEEN_KEY = "headrace:processor-seen"  # set by each processor that polls; its age shows when one last did
PROCESSOR_SEEN_TTL_MS = 24 * 3600 * 1000  # after this, no processor has been seen
PAYLOAD_TTL_MS = 30 * 24 * 3600 * 1000  # longer than any backlog; the row in PostgreSQL is kept anyway


class Dispatch(msgspec.Struct, frozen=True):
    """The n-th dispatch of a task. arq takes each number for a new job."""

    task_id: UUID
    dispatch_no: int
    kind: TaskKind
    tenant: str = "default"  # whose share of the queue it uses
    cost_s: int = 1  # its part of that share; see shared/queue/task_costs.py
    has_begun: bool = False  # an attempt began before: its cost was charged then
    to_fetch: bool = False  # a prepare task whose source is at a URL: it is fetched first
    interactive: bool = False  # a client waits for its job
    queue_name: str = DEFAULT_QUEUE_NAME  # of the job: where its tasks wait that need a slot

    @property
    def arq_id(self) -> str:
        return f"{self.task_id}.{self.dispatch_no}"

    @property
    def previous(self) -> "Dispatch":
        """The dispatch of the same task that this one replaces."""
        return msgspec.structs.replace(self, dispatch_no=self.dispatch_no - 1)

    @property
    def queue(self) -> str:
        if self.kind is TaskKind.DELIVER:
            return DELIVERY_QUEUE
        if self.kind is TaskKind.SUMMARIZE:
            return SUMMARY_QUEUE
        return FETCH_QUEUE if self.to_fetch else compute_queue(self.queue_name)


def compute_queue(name: str) -> str:
    """Return the queue in Redis for a job's queue."""
    return COMPUTE_QUEUE if name == DEFAULT_QUEUE_NAME else NAMED_QUEUE_PREFIX + name


def is_compute_queue(queue: str) -> bool:
    """Return whether the tasks of a queue in Redis need a compute slot."""
    return queue == COMPUTE_QUEUE or re.fullmatch(NAMED_QUEUE_PREFIX + "[^:]+", queue) is not None


def processor_name(host: str, pid: int) -> str:
    """The name of a processor process in leases and in Redis."""
    return f"{host}:{pid}"


def arq_health_key(queue: str, processor: str) -> str:
    """The key that arq sets every few seconds, with a short expiry, while a processor polls a queue."""
    return f"{queue}:health:{processor}"


def dispatch_of(arq_id: str, queue: str) -> Dispatch | None:
    """Parse a member of a queue in Redis; None for a member that is not ours.

    The kind is DELIVER, SUMMARIZE or PREPARE: a queue does not say which compute task a member is.
    """
    task_id, _, number = arq_id.rpartition(".")
    try:
        kind = KIND_OF_QUEUE.get(queue, TaskKind.PREPARE)
        name = queue.removeprefix(NAMED_QUEUE_PREFIX) if queue.startswith(NAMED_QUEUE_PREFIX) else DEFAULT_QUEUE_NAME
        return Dispatch(UUID(task_id), int(number), kind, to_fetch=queue == FETCH_QUEUE, queue_name=name)
    except ValueError:
        return None


def serialize(value: object) -> bytes:
    """arq's `job_serializer`. Objects that msgspec cannot encode, such as exceptions, become their repr."""
    return msgspec.msgpack.encode(value, enc_hook=repr)


def deserialize(data: bytes) -> dict[str, object]:
    """arq's `job_deserializer`."""
    return msgspec.msgpack.decode(data, type=dict[str, object])


def arq_payload(dispatch: Dispatch, *, enqueued_at_ms: int) -> bytes:
    """The value of `arq:job:<id>`: function name and arguments in arq's layout.

    arq ignores `o`, which must come last: fair_shares.lua reads and changes the end of the payload.
    """
    arguments = (str(dispatch.task_id), dispatch.dispatch_no)
    owner = f" {dispatch.tenant} {charged_s(dispatch)} {0:015}"
    return serialize({"t": None, "f": ARQ_FUNCTION, "a": arguments, "k": {}, "et": enqueued_at_ms, "o": owner})


def charged_s(dispatch: Dispatch) -> int:
    """Return what is charged when the task starts: nothing if an attempt began before."""
    return 0 if dispatch.has_begun else dispatch.cost_s
