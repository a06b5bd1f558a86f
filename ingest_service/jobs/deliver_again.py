"""Has a webhook event delivered once more: by the attempt that waits already, else by a new task for the same event.

The event keeps its id for ever, so a receiver can tell a re-send from news.
"""

from typing import Any

import msgspec

from ingest_service.jobs.rows import NewTask, insert_tasks
from shared.queue.dispatch import Dispatch
from shared.schemas.states import TASK_TERMINAL, TaskKind, TaskState
from shared.schemas.webhook_events import DeliveryInput

DELIVERIES = """
    SELECT id, state, ordinal, input FROM tasks
    WHERE job_id = $1 AND generation = $2 AND kind = 'deliver' ORDER BY id FOR UPDATE
"""
BRING_FORWARD = "UPDATE tasks SET not_before = now() WHERE id = ANY($1::uuid[]) AND state = 'waiting'"
DISMISS = """
    UPDATE tasks SET dismissed_at = now() WHERE id = ANY($1::uuid[]) AND state = 'dead' AND dismissed_at IS NULL
    RETURNING id
"""


class Delivery(msgspec.Struct, frozen=True):
    """What was set going: whom to ring for after the commit, and how many dead letters that settled."""

    dispatches: tuple[Dispatch, ...]
    dismissed: int


async def deliver_again(connection: Any, job: Any, generation: int, event_id: str) -> Delivery:
    """Deliver an event of a locked job; what died of it before is no dead letter any more."""
    deliveries = await connection.fetch(DELIVERIES, job["id"], generation)
    of_event = [row for row in deliveries if event_of(row["input"]) == event_id]
    dismissed = await connection.fetch(DISMISS, [row["id"] for row in of_event])
    open_ones = [row for row in of_event if TaskState(row["state"]) not in TASK_TERMINAL]
    if open_ones:
        await connection.execute(BRING_FORWARD, [row["id"] for row in open_ones])
        return Delivery((), len(dismissed))
    ordinal = 1 + max((row["ordinal"] for row in deliveries), default=-1)
    task = NewTask(TaskKind.DELIVER, ordinal, input_json=delivery_input(event_id))
    return Delivery(await insert_tasks(connection, job, generation, [task]), len(dismissed))


def event_of(input_json: str) -> str:
    """The event that a deliver task delivers."""
    return msgspec.json.decode(input_json, type=DeliveryInput).event_id


def delivery_input(event_id: str) -> str:
    """The `input` of a task that delivers an event."""
    return msgspec.json.encode(DeliveryInput(event_id)).decode()
