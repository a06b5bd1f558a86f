"""The tables of docs/scaling.md. In the document, each is between two comments, of which the first names it."""

import re
from pathlib import Path

from tests.tools.benchmarks.scaling.forecast import Forecast, Rough
from tests.tools.benchmarks.scaling.measured import Measured, SmallRun, StoreCosts
from tests.tools.benchmarks.scaling.sizing import LOADS, Load, Part, needs, parts

DOCUMENT = Path(__file__).parents[4] / "docs" / "scaling.md"
MIN_COMPARED_S = 0.5
TABLE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, measured: Measured, found: Forecast) -> str:
    """Return the document with current tables. Raise KeyError for an unknown table."""
    made = tables(measured, found)
    return TABLE.sub(lambda match: f"{match[1]}{made[match['name']]}\n{match[3]}", text)


def tables(measured: Measured, found: Forecast) -> dict[str, str]:
    """Return all tables by name."""
    return {
        "runs": _runs(measured),
        "costs": _costs(measured),
        "requests": _requests(measured),
        "queue": _queue(measured),
        "looks": _looks(measured),
        "needs": _needs(measured),
        "ends-uploads": _ends(LOADS[0], measured),
        "ends-hours": _ends(LOADS[1], measured),
        "waits": _waits(found),
        "days": _days(found),
        "rough": _rough(found),
    }


def table(head: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Format a number with two significant digits."""
    for word, size in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
        if abs(value) >= size:
            return f"{number(value / size)} {word}"
    if abs(value) >= 100:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"


def _bytes(value: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{value:.0f} B"


def _runs(measured: Measured) -> str:
    head = ["run", "processors, slots", "jobs, tasks", "makespan s", "wait s", "upload to end s"]
    return table(head, [_run(one) for one in measured.runs])


def _run(run: SmallRun) -> list[str]:
    pairs = [
        (run.measured_makespan_s, run.simulated_makespan_s),
        (run.measured_wait_s, run.simulated_wait_s),
        (run.measured_took_s, run.simulated_took_s),
    ]
    compared = [_comparison(measured_s, simulated_s) for measured_s, simulated_s in pairs]
    return [run.name, f"{run.processors}, {run.slots}", f"{run.jobs}, {run.tasks}", *compared]


def _comparison(measured_s: float, simulated_s: float) -> str:
    """Format both times, with the error unless below MIN_COMPARED_S, where the poll interval dominates."""
    error = "" if measured_s < MIN_COMPARED_S else f" ({100 * (simulated_s / measured_s - 1):+.0f} %)"
    return f"{measured_s:.1f} / {simulated_s:.1f}{error}"


def _costs(measured: Measured) -> str:
    head = [
        "",
        "rows inserted / updated",
        "statements",
        "transactions",
        "WAL",
        "Postgres CPU",
        "kept",
        "Redis requests / commands",
    ]
    named = [
        ("a short job", measured.short_job),
        ("a long job, without its chunks", measured.long_job),
        ("each chunk", measured.chunk),
        ("a webhook", measured.webhook),
        ("an idle processor, a second", measured.idle),
    ]
    return table(head, [_cost(name, cost) for name, cost in named])


def _cost(name: str, cost: StoreCosts) -> list[str]:
    rows = f"{cost.inserted:.1f} / {cost.updated:.1f}"
    kept = _bytes(cost.stored_bytes) if cost.stored_bytes > 0 else ""
    return [
        name,
        rows,
        f"{cost.statements:.1f}",
        f"{cost.transactions:.1f}",
        _bytes(max(0.0, cost.wal_bytes)),
        f"{1000 * cost.postgres_cpu_s:.1f} ms",
        kept,
        f"{cost.redis_requests:.1f} / {cost.redis_commands:.1f}",
    ]


def _needs(measured: Measured) -> str:
    first, second = (needs(load, measured) for load in LOADS)
    rows = [
        ("uploads a second", *(number(load.uploads_per_s) for load in LOADS)),
        ("slot seconds a job", number(first.slot_s_a_job), number(second.slot_s_a_job)),
        ("slots busy on average", number(first.offered), number(second.offered)),
        ("slots for the busiest moment", number(first.slots), number(second.slots)),
        ("processors of 8 slots", number(first.processors), number(second.processors)),
        ("tasks a second", number(first.tasks), number(second.tasks)),
        ("transactions a second", number(first.transactions), number(second.transactions)),
        ("statements a second", number(first.statements), number(second.statements)),
        ("rows inserted a second", number(first.rows_inserted), number(second.rows_inserted)),
        ("rows updated a second", number(first.rows_updated), number(second.rows_updated)),
        ("… of these, heartbeats", number(first.rows_of_beats), number(second.rows_of_beats)),
        ("WAL a second", _bytes(first.wal_bytes), _bytes(second.wal_bytes)),
        ("Postgres cores", number(first.postgres_cores), number(second.postgres_cores)),
        ("rows kept", number(first.rows_kept), number(second.rows_kept)),
        ("… with indexes", _bytes(first.bytes_kept), _bytes(second.bytes_kept)),
        ("connections of processors, at most", number(first.connections), number(second.connections)),
        ("… of PgBouncer to Postgres", number(first.pooled_connections), number(second.pooled_connections)),
        ("Redis requests a second", number(first.redis_requests), number(second.redis_requests)),
        ("… in addition, while 50,000 tasks wait", number(first.redis_compared), number(second.redis_compared)),
        ("Redis cores", number(first.redis_cores), number(second.redis_cores)),
        ("Redis memory, an hour's backlog", _bytes(first.redis_backlog_bytes), _bytes(second.redis_backlog_bytes)),
        ("bucket: PUT, POST, LIST a second", number(first.puts), number(second.puts)),
        ("bucket: GET, HEAD a second", number(first.gets), number(second.gets)),
        ("bucket: new bytes a day", _bytes(first.bucket_bytes_a_day), _bytes(second.bucket_bytes_a_day)),
        ("ingest: bytes in a second", _bytes(first.ingest_bytes), _bytes(second.ingest_bytes)),
        ("ingest: cores", number(first.ingest_cores), number(second.ingest_cores)),
    ]
    return table(["", *(load.name for load in LOADS)], [list(row) for row in rows])


def _ends(load: Load, measured: Measured) -> str:
    head = ["part", "needed", "one holds", "times", "takes over"]
    return table(head, [_end(part) for part in parts(load, measured)])


def _end(part: Part) -> list[str]:
    return [
        part.name,
        f"{number(part.need)} {part.unit}".strip(),
        f"{number(part.end)} {part.unit}".strip(),
        str(part.how_many),
        part.takes_over if part.how_many > 1 else "",
    ]


def _requests(measured: Measured) -> str:
    named = [
        ("a short job", measured.requests_short),
        ("a long job, without its chunks", measured.requests_long),
        ("each chunk", measured.requests_chunk),
    ]
    rows = [[name, *(number(each) for each in (one.put, one.post, one.list, one.head, one.get))] for name, one in named]
    return table(["", "PUT", "POST", "LIST", "HEAD", "GET"], rows)


def _queue(measured: Measured) -> str:
    queue = measured.queue
    row = [_bytes(queue.bytes_a_prepare), _bytes(queue.bytes_a_chunk), number(queue.rings_a_s)]
    return table(["memory of a queued file", "of a queued chunk", "dispatches enqueued a second, 500 at once"], [row])


def _looks(measured: Measured) -> str:
    head = ["waiting tasks", "running tasks", "commands a look, with the script's", "ms a look"]
    rows = [
        [f"{one.waiting:,}", f"{one.running:,}", f"{one.commands:.0f}", f"{1000 * one.seconds:.2f}"]
        for one in measured.queue.looks
    ]
    return table(head, rows)


def _waits(found: Forecast) -> str:
    head = ["load", "slots per busy slot", "mean wait s", "p95 wait s", "Erlang's mean wait s"]
    rows = [
        [one.load, f"{one.ratio:.2f}", number(one.mean_s), number(one.p95_s), number(one.erlang_s)]
        for one in found.waits
    ]
    return table(head, rows)


def _days(found: Forecast) -> str:
    head = ["slots, of those for the busiest moment", "mean wait", "longest wait"]
    rows = [[f"{100 * one.of_peak:.0f} %", _time(one.mean_wait_s), _time(one.longest_wait_s)] for one in found.days]
    return table(head, rows)


def _rough(found: Forecast) -> str:
    head = [
        "failed attempts",
        "crashes per processor",
        "mean, upload to end",
        "p95, upload to end",
        "wasted slot time",
        "FAILED jobs",
    ]
    return table(head, [_faults(one) for one in found.rough])


def _faults(rough: Rough) -> list[str]:
    return [
        f"{100 * rough.failing:.0f} %",
        "once an hour" if rough.deaths_per_hour else "never",
        _time(rough.mean_took_s),
        _time(rough.p95_took_s),
        f"{100 * rough.wasted:.1f} %",
        f"{rough.failed} of {rough.jobs:,}",
    ]


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
