"""Writes down what this version writes: `make record-contracts`, a run of pytest on this file alone.

Adds what its file does not have yet and changes nothing of it: a version that was released is not made anew.
"""

import msgspec
import pytest

from tests.contracts.kinds import KINDS
from tests.contracts.names import names
from tests.contracts.recorded import VERSION, Recorded, path_of, read_recorded, record, write_recorded


@pytest.fixture
def recorded() -> Recorded:
    return read_recorded(VERSION) if path_of(VERSION).exists() else Recorded()


def test_record_bytes_and_names(recorded: Recorded) -> None:
    kinds = {name: record(kind) for name, kind in KINDS.items()} | recorded.kinds
    write_recorded(VERSION, msgspec.structs.replace(recorded, kinds=kinds, names=names() | recorded.names))
