"""Samples of the stack are divided among the layers of an upload."""

import re
from pathlib import Path

from tests.tools.benchmarks.ingest.upload_costs import FRAME, LAYERS, layer_shares

ROOT = Path(__file__).parents[4]
LOOP = "main (ingest_service/__main__.py:1);run (asyncio/runners.py:118)"
RECEIVE = f"{LOOP};receive (ingest_service/uploads/receive.py:9)"


def test_a_sample_counts_for_the_nearest_layer_above_its_leaf() -> None:
    shares = layer_shares(
        [
            f"{RECEIVE};write_whole (shared/blobs/local_files.py:20) 3",
            f"{RECEIVE};store_small_audio (ingest_service/uploads/receive.py:277) 2",
            f"{RECEIVE};__aenter__ (asyncio/timeouts.py:91) 1",
            f"{LOOP};Exchange._write (ingest_service/server/exchange.py:271) 2",
            f"{LOOP} 2",
            "_worker (concurrent/futures/thread.py:81) 90",
        ]
    )
    assert shares == {
        "file system calls": 0.3,
        "sha256": 0.2,
        "form, options, body": 0.1,
        "answer: socket write": 0.2,
        "event loop: polls, reads, timers": 0.2,
    }


def test_the_layers_name_files_that_exist() -> None:
    ours = (path.relative_to(ROOT) for folder in ("ingest_service", "shared") for path in (ROOT / folder).rglob("*.py"))
    frames = [f"{path}:{name}" for path in ours for name in ("_write", "store_small_audio", "_log_request")]
    libraries = {"event loop: polls, reads, timers", "Redis"}
    assert FRAME.fullmatch("write (ingest_service/a.py:1)")
    for layer, pattern in LAYERS:
        assert layer in libraries or any(re.search(pattern, frame) for frame in frames), layer
