"""Ids are unique across threads and processes. A newer id sorts after an older one."""

import os
import threading
from uuid import RFC_4122, UUID

import pytest

from shared.ids import POOL_BYTES, jobs_of, new_id, new_task_id, new_token

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


def test_the_id_of_a_task_shows_which_jobs_it_can_belong_to() -> None:
    jobs = [UUID(int=(number << 80) + 5) for number in (7, 9)]
    tasks = [new_task_id(job) for job in jobs]
    assert jobs_of(tasks[:1]) == (UUID(int=7 << 80), UUID(int=(8 << 80) - 1))
    assert jobs_of(tasks) == (UUID(int=7 << 80), UUID(int=(10 << 80) - 1))
    assert {task.version for task in tasks} == {8}


def test_a_task_of_a_former_version_can_belong_to_any_job() -> None:
    low, high = jobs_of([new_id()])
    assert (low.int, high.int) == (0, (1 << 128) - 1)
