"""The states of jobs and tasks, and the only transitions between them.

A job is what the client asked for; tasks are the units of work that carry it out. SQL updates compare-and-set on
the old state, so what is not in a transition table here cannot happen.
"""

from enum import StrEnum


class JobStatus(StrEnum):
    """What a client sees of a job."""

    QUEUED = "QUEUED"  # accepted: bytes stored, row committed, no task claimed yet
    PROCESSING = "PROCESSING"  # a task was claimed; also while a task waits for its next attempt
    COMPLETED = "COMPLETED"  # the transcript can be fetched
    FAILED = "FAILED"  # final: a dead letter exists
    CANCELLED = "CANCELLED"  # the client took it back


class Stage(StrEnum):
    """Where in the data path a job is; shown to the client beside the status."""

    PREPARE = "prepare"  # probe, decode, split
    TRANSCRIBE = "transcribe"  # denoise and transcribe the chunks
    FINISH = "finish"  # merge and write the results


class TaskKind(StrEnum):
    """The steps of a job; each is a row that is leased, retried and dead-lettered by the same code."""

    PREPARE = "prepare"  # one a job; carries a short file through to its result
    CHUNK = "chunk"  # one a chunk of a long file
    FINISH = "finish"  # one a long file, after its last chunk
    DELIVER = "deliver"  # one a webhook event


class TaskState(StrEnum):
    """The life of one task."""

    PENDING = "pending"  # to be dispatched
    DISPATCHED = "dispatched"  # Redis was told, or will be by the reconciler
    RUNNING = "running"  # leased by a worker
    WAITING = "waiting"  # failed for now; pending again at `not_before`
    DONE = "done"  # finished; its results are committed
    DEAD = "dead"  # failed for good; a dead letter exists
    CANCELLED = "cancelled"  # its job ended without it


JOB_TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})
TASK_TERMINAL = frozenset({TaskState.DONE, TaskState.DEAD, TaskState.CANCELLED})

JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.PROCESSING, JobStatus.CANCELLED}),
    JobStatus.PROCESSING: JOB_TERMINAL,
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),  # redrive: a new generation
    JobStatus.CANCELLED: frozenset(),
}

TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.PENDING: frozenset({TaskState.DISPATCHED, TaskState.CANCELLED}),
    TaskState.DISPATCHED: frozenset({TaskState.RUNNING, TaskState.CANCELLED}),
    TaskState.RUNNING: frozenset(
        {
            TaskState.DONE,
            TaskState.WAITING,
            TaskState.DISPATCHED,  # handed back by an interrupted worker, or rescued from a lost one
            TaskState.DEAD,
            TaskState.CANCELLED,
        }
    ),
    TaskState.WAITING: frozenset({TaskState.DISPATCHED, TaskState.CANCELLED}),
    TaskState.DONE: frozenset(),
    TaskState.DEAD: frozenset(),
    TaskState.CANCELLED: frozenset(),
}
