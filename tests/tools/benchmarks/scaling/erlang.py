"""Erlang's formulas for a simple queue (M/M/c): Poisson arrivals, exponential service, c slots, first in, first out.

A. K. Erlang, 1917. The recursion over the slots is the usual one; it is stable for thousands of slots.
"""

import math


def chance_of_waiting(slots: int, offered: float) -> float:
    """Return the probability that all slots are busy (Erlang C). `offered`: jobs/s times s/job, less than `slots`."""
    blocked = 1.0
    for number in range(1, slots + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - offered / slots * (1 - blocked))


def mean_wait_s(slots: int, offered: float, service_s: float) -> float:
    """Return the mean wait of all jobs, including those that do not wait."""
    return chance_of_waiting(slots, offered) * service_s / (slots - offered)


def wait_quantile_s(slots: int, offered: float, service_s: float, share: float) -> float:
    """Return the wait that `share` of the jobs do not exceed. Waits above zero are exponential."""
    waiting = chance_of_waiting(slots, offered)
    if waiting <= 1 - share:
        return 0.0
    return math.log(waiting / (1 - share)) * service_s / (slots - offered)


def slots_for(offered: float, service_s: float, *, share: float, within_s: float) -> int:
    """Return the fewest slots with which `share` of the jobs wait at most `within_s`."""
    slots = math.floor(offered) + 1
    while wait_quantile_s(slots, offered, service_s, share) > within_s:
        slots += 1
    return slots
