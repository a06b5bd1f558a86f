"""Query the indexes for torch, in order, until one has a build that fits (see torch_build.py)."""

import sys
from collections.abc import Mapping

from deploy.local.set_up.packages import CONSTRAINTS
from deploy.local.set_up.pip import Pip
from deploy.local.set_up.surroundings import NotFoundError, proxy_hint
from deploy.local.set_up.torch_build import Build, index_of, is_cpu_build, none_found, reasons

CONFIGURED = "pip's package index"


class Search:
    """The search for `pin`, such as `torch==2.13.0`. `problems`: the error of each index queried so far."""

    def __init__(self, pip: Pip, pin: str, environ: Mapping[str, str]) -> None:
        self.problems: dict[str, NotFoundError] = {}
        self._pip = pip
        self._pin = pin
        self._environ = environ

    def find(self, wanted: str | None) -> Build:
        """Return the build to install. Raise SetUpError if there is none."""
        if wanted not in (None, "cpu"):
            build = self._in_pytorch_index(wanted)
        else:
            build = self._configured() or (self._in_pytorch_index("cpu") if sys.platform == "linux" else None)
        if build is None and wanted is None and not self.problems[CONFIGURED].unreachable:
            build = self._with_gpu_libraries()
        if build is None:
            raise none_found(self._pin, wanted, self.problems, proxy_hint())
        return build

    def reasons(self) -> str:
        """Return the errors of the queried indexes."""
        return reasons(self.problems)

    def _configured(self) -> Build | None:
        """Return the build of pip's configured index if it is a CPU build."""
        try:
            [torch] = self._pip.look_up(self._pin, "--no-deps")
        except NotFoundError as error:
            self.problems[CONFIGURED] = error
            return None
        if is_cpu_build(torch, sys.platform):
            return Build(f"torch=={torch.version}", (torch,))
        self.problems[CONFIGURED] = NotFoundError("no CPU build", unreachable=False)
        return None

    def _in_pytorch_index(self, build: str) -> Build | None:
        index = index_of(self._environ, build)
        options = ("--index-url", index) if build != "cpu" else ("--index-url", index, "--no-deps")
        try:
            packages = self._pip.look_up(f"{self._pin}+{build}", *options)
        except NotFoundError as error:
            self.problems[index] = error
            return None
        return Build(f"{self._pin}+{build}", tuple(packages), options, with_dependencies=build != "cpu")

    def _with_gpu_libraries(self) -> Build | None:
        """Return the default index' build, which needs all its dependencies."""
        options = ("--constraint", str(CONSTRAINTS))
        try:
            packages = self._pip.look_up(self._pin, *options)
        except NotFoundError as error:
            self.problems[CONFIGURED] = error
            return None
        return Build(self._pin, tuple(packages), options, with_dependencies=True)
