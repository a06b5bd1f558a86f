"""Where a delivery attempt went, in lists: the host, and the endpoint of the tenant if it was one."""

from typing import Any

from shared.schemas.called_urls import shown_host

# Columns and a join of attempts `a`, with their events `e` and jobs `j`. The id is the `webhook-id` that was sent.
ENDPOINT_ID = "CASE WHEN length(a.target) = 32 THEN a.target::uuid END"
SHOWN = f"""
    e.id || coalesce('_' || a.target, '') AS event_id, {ENDPOINT_ID} AS endpoint_id, p.host AS endpoint_host,
    CASE WHEN a.target IS NULL THEN j.webhook_url
         WHEN a.target LIKE 'w%' THEN j.webhooks->substr(a.target, 2)::int->>'url' END AS url
"""
JOIN_ENDPOINT = f"LEFT JOIN webhook_endpoints p ON p.id = {ENDPOINT_ID} AND p.tenant = j.tenant"


def shown(row: Any) -> dict[str, Any]:
    """Return the fields of a row with SHOWN: of a URL, only the host."""
    fields = dict(row)
    url, host, endpoint_id = fields.pop("url"), fields.pop("endpoint_host"), fields.pop("endpoint_id")
    return fields | {"host": host or shown_host(url or ""), "endpoint_id": str(endpoint_id) if endpoint_id else None}
