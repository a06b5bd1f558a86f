"""Whose rows a transaction may see: Postgres keeps tenants apart by `headrace.tenant`, which every transaction sets.

Set for the transaction alone, in the round trip that begins it: a pooler may give the connection to others after it.
Where nothing is set, nothing is seen.
"""

import re

ALL_TENANTS = "*"  # for what spans them: the processor, and what ingest does for many at once
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def begin(*tenants: str) -> str:
    """The statements that begin a transaction for these; ValueError for what is no tenant's name."""
    for tenant in tenants:
        if tenant != ALL_TENANTS and not NAME.fullmatch(tenant):
            raise ValueError("This is no tenant's name.")  # it would stand in the statement as it is
    return f"BEGIN; SELECT set_config('headrace.tenant', '{','.join(sorted(set(tenants)))}', true)"
