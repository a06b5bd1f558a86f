"""Limits the requests of each API key, or of a tenant where no keys are asked for; never by address or header.

Every answer tells how much is left, in the fields of draft-ietf-httpapi-ratelimit-headers-10. Where no rate is set
this step is not there at all.
"""

import math
from collections.abc import Callable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from ingest_service.auth.caller import Caller, caller_of
from ingest_service.errors import LimitError
from ingest_service.middleware.authentication import is_open
from ingest_service.middleware.problems import send_problem
from ingest_service.quotas.rate_limiter import Policy, RateLimiter, Verdict

METRICS_PATH = "/metrics"  # whoever watches must see most when most is refused

Fields = list[tuple[bytes, bytes]]


def with_rate_limit(app: ASGIApp, limiter: Callable[[], RateLimiter | None]) -> ASGIApp:
    """Wrap an ASGI application whose requests are authenticated. `limiter` opens when the server starts."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        at_hand = limiter() if scope["type"] == ScopeType.HTTP and not is_free(scope["method"], scope["path"]) else None
        if at_hand is None:
            await app(scope, receive, send)
            return
        verdict = await at_hand.take(subject_of(caller_of(scope)))
        fields = rate_fields(at_hand.policy, verdict)

        async def send_told(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], *fields]}
            await send(message)

        if verdict.is_granted:
            await app(scope, receive, send_told)
        else:
            await send_problem(send_told, rate_limited(at_hand.policy, verdict))

    return limited


def is_free(method: str, path: str) -> bool:
    """Whether a request is not counted."""
    return path == METRICS_PATH or is_open(method, path)


def subject_of(caller: Caller) -> str:
    """Whose bucket a request takes from."""
    return f"tenant:{caller.tenant}" if caller.key_id is None else f"key:{caller.key_id}"


def rate_fields(policy: Policy, verdict: Verdict) -> Fields:
    """`RateLimit-Policy`: q requests in w seconds. `RateLimit`: r are left; after t seconds all, or one."""
    full_after_s = (policy.burst - verdict.remaining) / policy.rate_per_s
    window_s = max(1, math.ceil(full_after_s if verdict.is_granted else verdict.wait_s))
    return [
        (b"ratelimit-policy", f'"requests";q={policy.burst};w={policy.window_s}'.encode()),
        (b"ratelimit", f'"requests";r={verdict.remaining};t={window_s}'.encode()),
    ]


def rate_limited(policy: Policy, verdict: Verdict) -> LimitError:
    """The refusal."""
    detail = f"{policy.rate_per_s:g} requests a second are let in, and {policy.burst} at once after a pause."
    return LimitError("rate_limited", detail, max(1, math.ceil(verdict.wait_s)))
