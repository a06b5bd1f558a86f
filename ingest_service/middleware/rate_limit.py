"""Limit the requests of each API key, and of all keys of a tenant together; never by address or header.

Without the tenant's limit, a tenant could multiply its rate by making keys.

Every answer shows the remaining requests, in the fields of draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
from collections.abc import Callable
from typing import Any

from litestar.types import ASGIApp, HTTPScope, Receive, Send

from ingest_service.auth.caller import Caller, caller_of
from ingest_service.errors import LimitError
from ingest_service.middleware.answer_headers import Headers, adding_headers
from ingest_service.middleware.authentication import is_open
from ingest_service.middleware.problems import send_problem
from ingest_service.quotas.concurrent_uploads import TenantLimits
from ingest_service.quotas.rate_limiter import Policy, RateDecision, RateLimiter

METRICS_PATH = "/metrics"  # monitoring must work while requests are refused


def with_rate_limit(app: ASGIApp, limits: Callable[[], TenantLimits]) -> ASGIApp:
    """Wrap an ASGI application whose requests are authenticated. The server opens `limits` after this call."""

    async def limited(scope: Any, receive: Receive, send: Send) -> None:
        if is_free(scope):
            await app(scope, receive, send)
            return
        limiter, decision = await _take(limits(), caller_of(scope))
        fields = rate_fields(limiter.policy, decision)
        send_with_fields = adding_headers(send, lambda _: fields)
        if decision.is_granted:
            await app(scope, receive, send_with_fields)
        else:
            await send_problem(send_with_fields, rate_limited(limiter.policy, decision))

    return limited


async def _take(limits: TenantLimits, caller: Caller) -> tuple[RateLimiter, RateDecision]:
    """Take a token of the key, then one of its tenant. Return the limiter whose decision the answer shows."""
    shown: tuple[RateLimiter, RateDecision] | None = None
    for limiters, subject in ((limits.requests, subject_of(caller)), (limits.tenant_requests, _all_keys_of(caller))):
        if limiters is not None:
            limiter = limiters.of(caller.tenant)
            decision = await limiter.take(subject)
            shown = shown or (limiter, decision)
            if not decision.is_granted:
                return limiter, decision
    assert shown is not None, "the wrapper is used only with a limit"  # noqa: S101 - a wrong set-up, no input
    return shown


def _all_keys_of(caller: Caller) -> str:
    return f"all-keys:{caller.tenant}"


def is_free(scope: HTTPScope) -> bool:
    """Return whether a request is not counted: one that needs no key, or the operator's monitoring."""
    if scope["path"] == METRICS_PATH and scope["method"] in {"GET", "HEAD"}:
        return caller_of(scope).operates
    return is_open(scope["method"], scope["path"])


def subject_of(caller: Caller) -> str:
    """Return the name of the bucket that a request takes from."""
    return f"tenant:{caller.tenant}" if caller.key_id is None else f"key:{caller.key_id}"


def rate_fields(policy: Policy, decision: RateDecision) -> Headers:
    """Return `RateLimit-Policy`: q requests in w seconds, and `RateLimit`: r remain; in t seconds all, or one."""
    full_after_s = (policy.burst - decision.remaining) / policy.rate_per_s
    window_s = max(1, math.ceil(full_after_s if decision.is_granted else decision.wait_s))
    return [
        (b"ratelimit-policy", f'"requests";q={policy.burst};w={policy.window_s}'.encode()),
        (b"ratelimit", f'"requests";r={decision.remaining};t={window_s}'.encode()),
    ]


def rate_limited(policy: Policy, decision: RateDecision) -> LimitError:
    """Return the refusal."""
    detail = f"At most {policy.rate_per_s:g} requests a second are allowed, and {policy.burst} at once after a pause."
    return LimitError("rate_limited", detail, max(1, math.ceil(decision.wait_s)))
