"""The sizing's arithmetic, compared with results computed by hand; and docs/scaling.md, compared with the figures."""

from pathlib import Path

import matplotlib as mpl
import msgspec
import pytest

from processor_service.maintenance.leader import CANDIDATE_EVERY_S
from tests.tools.benchmarks.scaling import forecast, measured, tables
from tests.tools.benchmarks.scaling.forecast import wait
from tests.tools.benchmarks.scaling.measured import (
    MEMORY,
    Erasing,
    Look,
    Measured,
    Queue,
    Requests,
    SlotTimes,
    StoreCosts,
)
from tests.tools.benchmarks.scaling.plots import draw
from tests.tools.benchmarks.scaling.sizing import (
    BEAT_S,
    HOURS,
    LOADS,
    UPLOADS,
    Assumed,
    Ends,
    Load,
    added,
    extra_gets,
    extra_puts,
    needs,
    parts,
    slot_s,
)

MIB = 1 << 20
MAX_BYTES = 300_000


def _costs(each: float) -> StoreCosts:
    return StoreCosts(
        inserted=each,
        updated=2 * each,
        hot=each,
        deleted=0,
        statements=10 * each,
        transactions=each,
        wal_bytes=1000 * each,
        redis_commands=each,
        redis_requests=each,
        postgres_cpu_s=each / 1000,
        stored_bytes=100 * each,
    )


ROUND = Measured(
    machine="none",
    slot_times=SlotTimes(whole_s=0.5, prepare_s=6.0, prepare_s_per_audio_s=0.01, chunk_s=1.0, finish_s=3.0),
    runs=[],
    short_job=_costs(2),
    chunk=_costs(1),
    long_job=_costs(4),
    webhook=_costs(3),
    idle=_costs(0),
    requests_short=Requests(put=3, get=1, head=1, list=1, delete=0),
    requests_chunk=Requests(put=3, get=3, head=2, list=0, delete=0),
    requests_long=Requests(put=3, get=1, head=1, list=1, delete=0, post=1),
    queue=Queue(
        bytes_a_prepare=300.0,
        bytes_a_chunk=400.0,
        rings_a_s=10_000.0,
        looks=[Look(running=0, commands=1, seconds=0.001)],
    ),
    erasing={MEMORY: Erasing(jobs_a_s=5.0, cpu_s=0.001, post=5, list=0, delete=0)},
)
PLAIN = Assumed(speed=10.0, swing=0.0)
TEN_A_SECOND = Load(name="ten", uploads_per_s=10.0, audio_s=60.0, bytes_per_audio_s=10_000.0)
ONE_LONG = Load(name="one", uploads_per_s=1.0, audio_s=3600.0, bytes_per_audio_s=10_000.0)


def test_a_short_files_slot_seconds() -> None:
    assert TEN_A_SECOND.chunks == 1
    assert slot_s(TEN_A_SECOND, ROUND, PLAIN) == 0.5 + 6.0


def test_a_long_files_slot_seconds_include_prepare_and_finish() -> None:
    assert ONE_LONG.chunks == 6
    assert slot_s(ONE_LONG, ROUND, PLAIN) == 36.0 + 6 * 1.0 + 360.0 + 3.0


def test_needs_of_ten_short_uploads_a_second() -> None:
    found = needs(TEN_A_SECOND, ROUND, PLAIN)

    assert found.offered == 65.0
    assert 65 < found.slots < 75
    assert found.processors == -(-found.slots // 8)
    assert found.tasks == 20.0
    assert found.rows_inserted == 10 * 5
    assert found.rows_of_beats == 65.0 / BEAT_S
    assert found.rows_updated == 10 * 10 + 65.0 / BEAT_S
    assert found.wal_bytes == 10 * 5000 + 65.0 / BEAT_S * 400
    looks = (found.processors - 1) / CANDIDATE_EVERY_S
    assert found.transactions == pytest.approx(10 * 5 + found.processors / BEAT_S + looks)
    assert found.postgres_cores == pytest.approx(0.05)
    assert found.redis_backlog_bytes == 10 * 3600 * 300
    assert (found.puts, found.gets) == (40.0, 20.0)
    assert found.ingest_bytes == 6e6


def test_a_long_files_needs_include_each_chunk_and_blob_part() -> None:
    found = needs(ONE_LONG, ROUND, PLAIN)

    assert found.tasks == 9
    assert found.rows_inserted == 4 + 6 + 3
    source, whole, chunk = extra_puts(36e6), extra_puts(72e6), extra_puts(12e6)
    assert (source, whole, chunk) == (6, 10, 3)
    assert found.puts == 3 + 1 + 1 + 6 * 3 + source + whole + 12 * chunk
    assert found.gets == 2 + 6 * 5 + extra_gets(36e6) + 12 * extra_gets(12e6)


def test_parts_of_a_blob() -> None:
    assert [extra_puts(size) for size in (0, 8 * MIB - 1, 8 * MIB, 17 * MIB)] == [0, 0, 2, 4]
    assert [extra_gets(size) for size in (0, 8 * MIB, 17 * MIB)] == [0, 0, 2]


def test_costs_add_up() -> None:
    assert added((2, _costs(1)), (1, _costs(3))) == _costs(5)


def test_the_most_overloaded_part_is_first_with_its_count() -> None:
    found = parts(TEN_A_SECOND, ROUND, PLAIN, Ends(erased=0.5, puts_per_s=20.0))

    assert (found[0].name, found[0].how_many) == ("deletion by age", 4)
    assert {part.name: part.how_many for part in found}["bucket, PUT and LIST"] == 2
    assert [part.need / part.end for part in found] == sorted((part.need / part.end for part in found), reverse=True)


def test_the_two_loads_match_their_names() -> None:
    assert UPLOADS.uploads_per_s == 1000
    assert HOURS.uploads_per_s * HOURS.audio_s / 3600 * 24 * 3600 == pytest.approx(1e6)


def test_the_documents_tables_match_the_figures() -> None:
    text = tables.DOCUMENT.read_text()

    found = measured.read(), forecast.read()
    assert {match["name"] for match in tables.TABLE.finditer(text)} == set(tables.tables(*found))
    assert tables.filled(text, *found) == text


def test_the_saved_forecast_matches_the_saved_figures() -> None:
    saved = forecast.read()
    tight, roomy = forecast.RATIOS[1], forecast.RATIOS[-1]

    again = [wait(LOADS[0], measured.read(), roomy), wait(LOADS[1], measured.read(), tight)]

    assert [one for one in saved.waits if (one.load, one.ratio) in {(each.load, each.ratio) for each in again}] == again


def test_the_plots_are_current_small_and_linked_in_the_document(tmp_path: Path) -> None:
    text = tables.DOCUMENT.read_text()
    named = draw(measured.read(), forecast.read(), tmp_path)
    saved = sorted((tables.DOCUMENT.parent / "scaling").glob("*.svg"))

    assert [path.name for path in saved] == sorted(path.name for path in named)
    assert all(f"scaling/{path.name}" in text for path in saved)
    assert sum(path.stat().st_size for path in saved) < MAX_BYTES
    for path, drawn in zip(saved, sorted(named), strict=True):
        if mpl.__version__ in path.read_text():  # another version draws different bytes
            assert path.read_text() == drawn.read_text()


def test_numbers_have_two_significant_digits() -> None:
    values = (0, 0.0812, 1.449, 9.96, 65.4, 123.4, 48_321, 7_776_000_000, 1.58e11)

    assert [tables.number(value) for value in values] == [
        "0",
        "0.081",
        "1.4",
        "10",
        "65",
        "120",
        "48,000",
        "7.8 billion",
        "160 billion",
    ]


def test_simulation_and_measurement_agree() -> None:
    for run in measured.read().runs:
        assert run.simulated_makespan_s == pytest.approx(run.measured_makespan_s, rel=0.05), run.name


def test_saved_figures_can_be_read_back() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ROUND), type=Measured) == ROUND
