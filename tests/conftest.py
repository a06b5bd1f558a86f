"""Fixtures of all tests: the real servers, embedded; see tests/servers.py. How Hypothesis makes its examples."""

from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["tests.parallel", "tests.processes", "tests.servers"]

# The same commit makes the same examples. No test of ours is timed, so none has a deadline.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
# `make fuzz`: others each time. Of several finds one is enough, without a comment: it becomes a line to copy.
settings.register_profile(
    "fuzz",
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
)
settings.load_profile("same")
