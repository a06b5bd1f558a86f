"""Make a request to a provider through its circuit breaker, and report the result to it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from processor_service.errors import TaskError, TransientError
from processor_service.providers.breaker import Breaker, BreakerOpenError, Call
from processor_service.providers.read_answer import counts_against_provider
from shared.schemas.failures import FailureCode

T = TypeVar("T")
Request = Callable[[], Awaitable[T]]


async def through_breaker(breaker: Breaker, provider: str, request: Request[T]) -> T:
    """Return what the request returns. Raise its errors, and TransientError while the breaker is open."""
    try:
        with breaker.call() as call:
            return await _reported(call, request)
    except BreakerOpenError as open_error:
        message = f"The provider {provider} failed recently and is not asked for a while."
        # 0 s: another request is the probe; the usual retry schedule applies.
        wait_s = open_error.wait_s or None
        raise TransientError(FailureCode.PROVIDER_UNAVAILABLE, message, retry_after_s=wait_s) from None


async def _reported(call: Call, request: Request[T]) -> T:
    try:
        result = await request()
    except TaskError as error:
        if counts_against_provider(error):
            call.failed(retry_after_s=error.retry_after_s)
        else:
            call.succeeded()
        raise
    call.succeeded()
    return result
