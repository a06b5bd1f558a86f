"""Grouping of tests that must run in one process."""

import pytest

from tests.support.parallel import groups_of, shared_by


def test_tests_that_share_nothing_have_no_group() -> None:
    assert groups_of({"a": [], "b": []}) == {}


def test_tests_that_share_a_fixture_are_one_group() -> None:
    groups = groups_of({"a": ["stack"], "b": [], "c": ["stack"], "d": ["pair"]})
    assert groups == {"a": "stack", "c": "stack", "d": "pair"}


def test_indirectly_connected_tests_are_one_group() -> None:
    shared = {"a": ["azurite"], "b": ["seaweedfs", "gcs"], "c": ["gcs", "azurite"], "d": ["nets"], "e": ["seaweedfs"]}
    groups = groups_of(shared)
    assert len({groups[test] for test in "abce"}) == 1
    assert groups["d"] != groups["a"]


@pytest.fixture(scope="module")
def costly() -> str:
    return "created once"


@pytest.mark.shares("something")
def test_shared_fixtures_and_marks_are_found(
    request: pytest.FixtureRequest, costly: str, tmp_path_factory: object
) -> None:
    assert costly
    assert tmp_path_factory
    item = request.node
    assert isinstance(item, pytest.Item)
    assert sorted(shared_by(item)) == ["something", "test_parallel.costly"]
