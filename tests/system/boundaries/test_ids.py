"""Ids are unique across threads and processes. A newer id sorts after an older one."""

import os
import threading
from uuid import RFC_4122, UUID

import pytest

from shared.ids import POOL_BYTES, new_id, new_token

MANY = POOL_BYTES // 10 * 3  # more than one pool of random bytes yields


def test_ids_are_version_7_and_sorted_by_time() -> None:
    ids = [new_id() for _ in range(MANY)]
    assert len(set(ids)) == MANY
    assert {(one.version, one.variant) for one in ids} == {(7, RFC_4122)}
    moments = [one.int >> 80 for one in ids]
    assert moments == sorted(moments)


def test_threads_generate_different_ids() -> None:
    made: list[UUID] = []
    threads = [threading.Thread(target=lambda: made.extend(new_id() for _ in range(MANY))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4 * MANY


@pytest.mark.process
def test_a_forked_child_generates_tokens_that_differ_from_its_parents() -> None:
    new_token(16)  # fills a pool that the child could inherit
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # skip pytest's teardown in the child
        os.write(writing, new_token(16).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 64).decode() != new_token(16)
    os.close(reading)
    os.close(writing)
