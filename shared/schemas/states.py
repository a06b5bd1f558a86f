"""The states of jobs and tasks, and the only transitions between them.

A job is the request of a client; tasks are the units of work that carry it out. SQL updates compare-and-set on the old
state. `tests/unit/processor/test_states.py` parses each of these statements and compares it with the tables below.
"""

from enum import StrEnum


class JobStatus(StrEnum):
    """The status of a job that the client sees."""

    QUEUED = "QUEUED"  # accepted: bytes stored, row committed, no task claimed yet
    PROCESSING = "PROCESSING"  # a task was claimed; also while a task waits for its next attempt
    COMPLETED = "COMPLETED"  # the transcript can be fetched
    FAILED = "FAILED"  # final: a dead letter exists
    CANCELLED = "CANCELLED"  # the client cancelled it


class Stage(StrEnum):
    """The step that a job is in; the client sees it with the status."""

    PREPARE = "prepare"  # probe, decode, split
    TRANSCRIBE = "transcribe"  # denoise and transcribe the chunks
    FINISH = "finish"  # merge and write the results
    SUMMARIZE = "summarize"  # ask a chat provider about the text, if the client wants it


class TaskKind(StrEnum):
    """The kinds of tasks. The same code leases, retries and dead-letters all of them."""

    PREPARE = "prepare"  # one for each job; does a short file completely
    CHUNK = "chunk"  # one for each chunk of a long file
    FINISH = "finish"  # one for each long file, after its last chunk
    SUMMARIZE = "summarize"  # one for each job that wants a summary, chapters or action items, when its text is stored
    DELIVER = "deliver"  # one for each webhook event


class TaskState(StrEnum):
    """The state of a task."""

    DISPATCHED = "dispatched"  # in Redis, or enqueued by the reconciler later; the state of a new task
    RUNNING = "running"  # leased by a worker
    WAITING = "waiting"  # dispatched again at `not_before`
    DONE = "done"  # finished; its results are committed
    DEAD = "dead"  # failed for good; a dead letter exists
    CANCELLED = "cancelled"  # its job ended without it


JOB_TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})
TASK_TERMINAL = frozenset({TaskState.DONE, TaskState.DEAD, TaskState.CANCELLED})

JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.PROCESSING, JobStatus.CANCELLED}),
    JobStatus.PROCESSING: JOB_TERMINAL,
    # A new generation: a redrive of a FAILED job, or another diarization of a job that has a transcript.
    JobStatus.COMPLETED: frozenset({JobStatus.QUEUED}),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
}

TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.DISPATCHED: frozenset({TaskState.RUNNING, TaskState.CANCELLED}),
    TaskState.RUNNING: frozenset(
        {
            TaskState.DONE,
            TaskState.WAITING,
            TaskState.DISPATCHED,  # returned by an interrupted worker, or rescued from a lost one
            TaskState.DEAD,
            TaskState.CANCELLED,
        }
    ),
    TaskState.WAITING: frozenset({TaskState.DISPATCHED, TaskState.CANCELLED}),
    TaskState.DONE: frozenset(),
    TaskState.DEAD: frozenset(),
    TaskState.CANCELLED: frozenset(),
}
