"""The runs of the chaos plan, by name."""

from tests.tools.chaos import (
    break_clients,
    break_servers,
    break_shards,
    break_tenants,
    break_webhooks,
    break_workers,
    operate,
    poison,
)
from tests.tools.chaos.run import Scenario

RUNS: dict[str, Scenario] = {
    "C1": break_workers.c1_kill_workers,
    "C2": break_workers.c2_kill_at_failpoints,
    "C3": break_workers.c3_freeze_at_failpoints,
    "C4": break_workers.c4_rolling_restarts,
    "C5": break_servers.c5_flush_redis,
    "C6": break_servers.c6_break_redis,
    "C7": break_servers.c7_break_postgres,
    "C8": break_clients.c8_disk_full,
    "C9": break_clients.c9_slow_clients,
    "C10": break_webhooks.c10_bad_endpoints,
    "C11": poison.c11_poison,
    "C12": break_workers.c12_run_out_of_memory,
    "C13": break_workers.c13_wrong_clocks,
    "C14": break_webhooks.c14_everything_twice,
    "C15": operate.c15_redrive_twice,
    "C16": break_servers.c16_expired_payloads,
    "C17": break_tenants.c17_hostile_tenant,
    "C18": break_shards.c18_break_one_redis,
}
