"""Tenants are spread over several Redis; a change of the list moves as few as possible."""

from collections import Counter

import pytest

from shared.connections.redis_shards import Shards, shard_of

TENANTS = [f"tenant-{number}" for number in range(20_000)]
NAMES = [f"redis-{number}:6379/0" for number in range(5)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_redis_gets_its_share_of_tenants(count: int) -> None:
    of_shard = Counter(shard_of(tenant, NAMES[:count]) for tenant in TENANTS)
    assert set(of_shard) == set(NAMES[:count])
    expected = len(TENANTS) / count
    deviation = 5 * expected**0.5  # five standard deviations of a random spread
    assert all(abs(number - expected) < deviation for number in of_shard.values())


def test_one_more_redis_takes_its_share_and_moves_nothing_between_the_others() -> None:
    before = {tenant: shard_of(tenant, NAMES[:4]) for tenant in TENANTS}
    after = {tenant: shard_of(tenant, NAMES) for tenant in TENANTS}
    moved = [tenant for tenant in TENANTS if before[tenant] != after[tenant]]
    assert {after[tenant] for tenant in moved} == {NAMES[4]}
    assert abs(len(moved) - len(TENANTS) / 5) < 5 * (len(TENANTS) / 5) ** 0.5


def test_one_redis_less_moves_only_its_own_tenants() -> None:
    for tenant in TENANTS:
        before = shard_of(tenant, NAMES)
        if before != NAMES[2]:
            assert shard_of(tenant, [*NAMES[:2], *NAMES[3:]]) == before


def test_the_order_of_the_list_does_not_matter() -> None:
    assert all(shard_of(tenant, NAMES) == shard_of(tenant, NAMES[::-1]) for tenant in TENANTS[:1000])


def test_a_tenant_keeps_its_redis_in_every_version() -> None:
    found = [shard_of(tenant, NAMES) for tenant in ("default", "acme", "Ünïcode")]
    assert found == ["redis-2:6379/0", "redis-4:6379/0", "redis-0:6379/0"]


def test_items_are_grouped_in_their_order() -> None:
    shards = Shards({name: name for name in NAMES[:3]})
    groups = shards.grouped(TENANTS[:100], lambda tenant: tenant)
    assert sorted(item for _, items in groups for item in items) == sorted(TENANTS[:100])
    for name, items in groups:
        assert items == [tenant for tenant in TENANTS[:100] if shards.of(tenant) == name]
