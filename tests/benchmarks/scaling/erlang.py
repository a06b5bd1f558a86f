"""Erlang's formulas for a plain queue: Poisson arrivals, exponential service, so many slots, first come first served.

A. K. Erlang, 1917; the recursion over the slots is the usual one and is stable for thousands of them.
"""

import math


def chance_of_waiting(slots: int, offered: float) -> float:
    """Erlang C: how likely a job finds all slots busy. `offered`: jobs a second times seconds a job; below `slots`."""
    blocked = 1.0
    for number in range(1, slots + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - offered / slots * (1 - blocked))


def mean_wait_s(slots: int, offered: float, service_s: float) -> float:
    """Over all jobs, those that need not wait included."""
    return chance_of_waiting(slots, offered) * service_s / (slots - offered)


def wait_s_of_most(slots: int, offered: float, service_s: float, share: float) -> float:
    """What that share of the jobs waits at most: the wait of those that must is exponential."""
    waiting = chance_of_waiting(slots, offered)
    if waiting <= 1 - share:
        return 0.0
    return math.log(waiting / (1 - share)) * service_s / (slots - offered)


def slots_for(offered: float, service_s: float, *, share: float, within_s: float) -> int:
    """The fewest slots with which that share of the jobs waits no longer than `within_s`."""
    slots = math.floor(offered) + 1
    while wait_s_of_most(slots, offered, service_s, share) > within_s:
        slots += 1
    return slots
