"""Plugins of all tests and the profiles of Hypothesis. The fixtures are in tests/support/servers.py."""

from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["tests.support.parallel", "tests.support.processes", "tests.support.servers"]

# Deterministic examples. No deadline: our tests are not timed.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
# `make fuzz`: random examples. It reports one failure without explanation, as a line to copy.
settings.register_profile(
    "fuzz",
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
)
settings.load_profile("same")
