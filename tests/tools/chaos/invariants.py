"""The nine invariants that hold after every run, whatever faults it injected. Each returns its violations.

I1 and I3 to I8 hold some time after the last fault. The caller checks them repeatedly until they do or time is up.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from uuid import UUID

from processor_service.tasks.retry import MAX_CRASHES
from shared.blobs import blob_keys
from shared.schemas.failures import FailureCode
from shared.schemas.states import JOB_TERMINAL, JOB_TRANSITIONS, TASK_TRANSITIONS, JobStatus, TaskKind, TaskState
from shared.schemas.webhook_events import EventType, event_id
from tests.tools.chaos.facts import Change, DeadTask, Facts, JobRow
from tests.tools.chaos.load import Attempt

MAYBE_RECORDED = (None, 503)  # the connection broke, or the database's broke during a commit
INITIAL_STATES = frozenset({TaskState.DISPATCHED})


def every_accepted_job_ends(facts: Facts) -> list[str]:
    """I1: each job that got a 202 ends in the state that is expected of its upload."""
    violations, excused = [], _poisoned_by_us(facts)
    for attempt in _recorded(facts):
        job = facts.jobs.get(_job_id(attempt, facts))
        if job is None:
            violations.append(f"I1: {_name(attempt)} was accepted and is lost")
        elif job.status not in _expected(attempt) and job.id not in excused:
            violations.append(
                f"I1: {_name(attempt)} is {job.status} ({job.error_code}), {attempt.expected} was expected"
            )
    return violations


def one_result_each(facts: Facts) -> list[str]:
    """I2: a generation ends once, and a COMPLETED job has the golden transcript."""
    ends = Counter((c.job_id, c.generation) for c in _of(facts, "jobs") if c.state in JOB_TERMINAL and _moved(c))
    twice = [
        f"I2: job {job} ended {times} times in generation {generation}"
        for (job, generation), times in ends.items()
        if times > 1
    ]
    differing = [
        f"I2: the transcript of {_name(attempt)} is {facts.transcripts.get(job.id)!r}, not the golden one"
        for attempt, job in _ours(facts)
        if job.status == JobStatus.COMPLETED and not job.erased_at
        if facts.transcripts.get(job.id) != attempt.text
    ]
    return twice + differing


def one_webhook_each(facts: Facts) -> list[str]:
    """I3: each end has one event, received at least once, with one id, signed, and never before the commit."""
    wanted = {_job_id(attempt, facts): attempt for attempt in _recorded(facts) if attempt.webhook}
    due = {
        event_id(c.job_id, c.generation or 0, EventType.of(JobStatus(c.state or ""))): c.job_id
        for c in _of(facts, "jobs")
        if c.state in JOB_TERMINAL and _moved(c) and c.job_id in wanted
    }
    events = {event.id: event for event in facts.events if event.job_id in wanted}
    violations = [f"I3: there is no event {missing}" for missing in due.keys() - events.keys()]
    violations += [
        f"I3: there is an event {extra} that no end of a job explains" for extra in events.keys() - due.keys()
    ]
    delivered = {one.event_id for one in facts.received}
    violations += [
        f"I3: event {one} was never received by {wanted[job_id].webhook}"
        for one, job_id in due.items()
        if one in events and one not in delivered and not wanted[job_id].never_accepted
    ]
    for one in facts.received:
        event = events.get(one.event_id)
        if event is None:
            violations.append(f"I3: a webhook with id {one.event_id!r} came to {one.path}, but there is no such event")
        elif str(event.job_id) != one.job_id or event.type != one.type:
            violations.append(f"I3: {one.event_id} names the wrong job or type: {one.job_id} {one.type}")
        elif one.at < event.committed_at.timestamp():
            violations.append(f"I3: {one.event_id} was sent before its commit")
        if not one.verifies:
            violations.append(f"I3: the signature of {one.event_id} does not verify")
    if facts.trapped:
        violations.append(f"I3: {facts.trapped} requests followed a redirect")
    return violations


def chunks_done_once(facts: Facts) -> list[str]:
    """I4: each task is done at most once, all chunks are done, and a crash repeats at most one chunk a slot."""
    done = Counter(c.id for c in _of(facts, "tasks") if c.state == TaskState.DONE and _moved(c))
    violations = [f"I4: task {task} was done {times} times" for task, times in done.items() if times > 1]
    chunks = Counter(
        (t.job_id, t.generation) for t in facts.tasks if t.kind == TaskKind.CHUNK and t.state == TaskState.DONE
    )
    violations += [
        f"I4: {_name(attempt)} has {chunks[job.id, job.generation]} chunks done, not {attempt.chunks}"
        for attempt, job in _ours(facts)
        if job.status == JobStatus.COMPLETED and chunks[job.id, job.generation] != attempt.chunks
    ]
    least = sum(attempt.calls for attempt, job in _ours(facts) if job.status == JobStatus.COMPLETED)
    most = sum(attempt.calls for attempt, _ in _ours(facts)) + facts.calls_allowed_again
    if not least <= facts.calls <= most:
        violations.append(f"I4: the transcriber was called {facts.calls} times; {least} to {most} were expected")
    return violations


def fenced_and_legal(facts: Facts) -> list[str]:
    """I5: lease tokens only grow, writes match the current lease, and every change is a permitted transition."""
    audited = {change.job_id for change in _of(facts, "jobs")}
    violations = [f"I5: job {job.id} is not in the audit" for _, job in _ours(facts) if job.id not in audited]
    claims: dict[tuple[UUID, int | None], str | None] = {}
    tokens: defaultdict[UUID, int] = defaultdict(int)
    for change in facts.changes:
        if not _is_legal(change) and not _is_tombstone(change, facts):
            violations.append(f"I5: {_describe(change)} is not a permitted transition")
        if change.relation != "tasks" or change.token is None:
            continue
        if change.token < tokens[change.id]:
            violations.append(
                f"I5: the token of {_describe(change)} went down from {tokens[change.id]} to {change.token}"
            )
        tokens[change.id] = change.token
        if change.state == TaskState.RUNNING:
            claims[change.id, change.token] = change.who
            if change.old_token == change.token:
                violations.append(f"I5: {_describe(change)} was claimed without a new token")
        elif change.old_state == TaskState.RUNNING and _is_stale(change, claims.get((change.id, change.old_token))):
            violations.append(f"I5: {change.who} wrote without holding the lease: {_describe(change)}")
    return violations


def nothing_left_over(facts: Facts) -> list[str]:
    """I6: no queued entry, key without expiry, temporary file, partial blob, orphaned process or open transaction."""
    left = facts.leftovers
    return [
        *(f"I6: there is still an entry in {entry}" for entry in left.queued),
        *(f"I6: the key {key} has no expiry" for key in left.keys_without_expiry),
        *(f"I6: the temporary file {path} is left" for path in left.temporary_files),
        *(f"I6: the partial blob {path} is left" for path in left.partial_blobs),
        *(f"I6: the process {process} has lost its parent" for process in left.orphaned_processes),
        *(f"I6: {session} is idle in a transaction" for session in left.idle_in_transaction),
    ]


def bytes_are_safe(facts: Facts) -> list[str]:
    """I7: accepted uploads are stored unchanged, rejected uploads have no row, and every blob has a row."""
    stored_by_job = {str(job_id) for key in facts.blobs if (job_id := blob_keys.job_of(key))}
    recorded = {job.source_sha256 for job in facts.jobs.values()}
    violations = [
        f"I7: {_name(attempt)} got {attempt.status} but has a row"
        for attempt in facts.attempts
        if attempt.status not in (202, *MAYBE_RECORDED) and attempt.sha256 in recorded
    ]
    for attempt in _recorded(facts):
        job_id = _job_id(attempt, facts)
        job = facts.jobs.get(job_id)
        if attempt.erased or (job is not None and job.erased_at):
            if str(job_id) in stored_by_job:
                violations.append(f"I7: {_name(attempt)} was erased but its blobs exist")
        elif facts.blobs.get(blob_keys.source(job_id)) != attempt.sha256:
            violations.append(f"I7: the stored bytes of {_name(attempt)} are missing or changed")
    rows = {str(job_id) for job_id in facts.jobs}
    return violations + [f"I7: blobs of {job_id} have no row" for job_id in sorted(stored_by_job - rows)]


def dead_letters_agree(facts: Facts) -> list[str]:
    """I8: the Redis list holds each dead task of the database that is not dismissed, once."""
    in_redis = Counter(facts.dead_in_redis)
    in_record = Counter(
        DeadTask(job_id=str(task.job_id), generation=task.generation, task_kind=task.kind, ordinal=task.ordinal)
        for task in facts.tasks
        if task.state == TaskState.DEAD and task.dismissed_at is None
    )
    return [
        *(f"I8: {letter} is not in Redis" for letter in (in_record - in_redis).elements()),
        *(f"I8: {letter} is in Redis only" for letter in (in_redis - in_record).elements()),
    ]


def tenants_are_apart(facts: Facts) -> list[str]:
    """I9: no answer contains data of another tenant."""
    return [f"I9: a row of another tenant is shown by {path}" for path in facts.foreign_rows_shown]


INVARIANTS: tuple[Callable[[Facts], list[str]], ...] = (
    every_accepted_job_ends,
    one_result_each,
    one_webhook_each,
    chunks_done_once,
    fenced_and_legal,
    nothing_left_over,
    bytes_are_safe,
    dead_letters_agree,
    tenants_are_apart,
)


def violations_of(facts: Facts) -> list[str]:
    """Return the violations of all invariants."""
    return [violation for invariant in INVARIANTS for violation in invariant(facts)]


def _recorded(facts: Facts) -> list[Attempt]:
    """Return the uploads that are jobs: accepted ones, and ones without a clear answer that the database has."""
    known = {job.source_sha256 for job in facts.jobs.values()}
    return [
        attempt
        for attempt in facts.attempts
        if attempt.status == 202 or (attempt.status in MAYBE_RECORDED and attempt.sha256 in known)
    ]


def _job_id(attempt: Attempt, facts: Facts) -> UUID:
    if attempt.job_id is not None:
        return UUID(attempt.job_id)
    return next(job.id for job in facts.jobs.values() if job.source_sha256 == attempt.sha256)


def _ours(facts: Facts) -> list[tuple[Attempt, JobRow]]:
    """Return the uploads that have a job row, with that row."""
    found = ((attempt, facts.jobs.get(_job_id(attempt, facts))) for attempt in _recorded(facts))
    return [(attempt, job) for attempt, job in found if job is not None]


def _expected(attempt: Attempt) -> set[str]:
    return {attempt.expected} | ({JobStatus.CANCELLED} if attempt.may_be_cancelled else set())


def _poisoned_by_us(facts: Facts) -> set[UUID]:
    """Return jobs with a task that is poison only because the run killed or froze each of its workers."""
    claims: defaultdict[UUID, list[str | None]] = defaultdict(list)
    for change in _of(facts, "tasks"):
        if change.state == TaskState.RUNNING:
            claims[change.id].append(change.who)
    return {
        task.job_id
        for task in facts.tasks
        if task.state == TaskState.DEAD and task.code == FailureCode.POISON
        if len(struck := [who for who in claims[task.id] if who in facts.struck]) >= MAX_CRASHES
        if len(set(struck)) == len(struck)
    }


def _of(facts: Facts, relation: str) -> list[Change]:
    return [change for change in facts.changes if change.relation == relation]


def _moved(change: Change) -> bool:
    return change.operation == "UPDATE" and change.old_state != change.state


def _is_legal(change: Change) -> bool:
    if change.operation == "DELETE":
        return False
    if change.relation == "jobs":
        return _is_legal_job(change)
    if change.operation == "INSERT":
        kept = change.kind == TaskKind.CHUNK and change.state == TaskState.DONE and (change.generation or 0) > 1
        return kept or change.state in INITIAL_STATES
    if change.generation != change.old_generation:
        return False
    return change.old_state == change.state or change.state in TASK_TRANSITIONS[TaskState(change.old_state or "")]


def _is_legal_job(change: Change) -> bool:
    if change.operation == "INSERT":
        return change.state == JobStatus.QUEUED
    if change.old_state == change.state or change.state not in JOB_TRANSITIONS[JobStatus(change.old_state or "")]:
        return False
    redriven = change.old_state == JobStatus.FAILED
    return (change.generation or 0) - (change.old_generation or 0) == int(redriven)


def _is_tombstone(change: Change, facts: Facts) -> bool:
    """Return whether orphan cleanup inserted a tombstone for an upload without a row, before it deleted the blobs."""
    job = facts.jobs.get(change.job_id)
    born_dead = change.operation == "INSERT" and change.state == JobStatus.CANCELLED
    return born_dead and job is not None and job.erased_at is not None and not _has_task(facts, change.job_id)


def _has_task(facts: Facts, job_id: UUID) -> bool:
    return any(task.job_id == job_id for task in facts.tasks)


def _is_stale(change: Change, holder: str | None) -> bool:
    """Return whether another process than the lease holder ended a running task without the right to.

    Only a cancellation, and a rescue after the lease expired, may do that.
    """
    if change.who == holder or change.state == TaskState.CANCELLED:
        return False
    rescued = change.state in (TaskState.DISPATCHED, TaskState.DEAD)
    return not (rescued and change.old_expires_at is not None and change.old_expires_at <= change.at)


def _name(attempt: Attempt) -> str:
    return f"upload {attempt.number} (job {attempt.job_id})"


def _describe(change: Change) -> str:
    what = change.kind or "job"
    return f"{what} {change.id} {change.old_state}→{change.state} (audit {change.seq})"
