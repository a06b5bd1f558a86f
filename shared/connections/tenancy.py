"""Begins transactions for a tenant: row-level security shows only the rows of the tenants in `headrace.tenant`.

The setting ends with the transaction, because a pooler may give the connection to other clients afterwards. It is made
in the round trip that begins the transaction. Without it no row is visible.
"""

import re

ALL_TENANTS = "*"  # for the processor, and for what ingest does for several tenants at once
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
TENANT_OR_ALL = r"^(?:\*|[a-z0-9][a-z0-9._-]{0,62})$(?!\n)"


def begin(*tenants: str) -> str:
    """Return the statements that begin a transaction for these tenants. Raise ValueError for an invalid name."""
    for tenant in tenants:
        if tenant != ALL_TENANTS and not NAME.fullmatch(tenant):
            raise ValueError("Invalid tenant name.")  # it would be put into the statement unescaped
    return f"BEGIN; SELECT set_config('headrace.tenant', '{','.join(sorted(set(tenants)))}', true)"
