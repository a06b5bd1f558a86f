"""The manifests of deploy/kubernetes, as built by kubectl and as single files."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.stack.launched import ROOT

FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (FOLDER / "overlays").iterdir()))
Manifest = dict[str, Any]


@cache
def built(overlay: str) -> tuple[Manifest, ...]:
    """Return what `kubectl apply -k` would apply; skip the test without kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which builds overlays, is not installed")
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)]
    return _documents(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read(path: Path) -> tuple[Manifest, ...]:
    """Return the documents of a file."""
    return _documents(path.read_text())


def _documents(text: str) -> tuple[Manifest, ...]:
    parts = re.split(r"^---$", text, flags=re.MULTILINE)
    return tuple(msgspec.yaml.decode(part) for part in parts if part.strip())


def kustomizations() -> list[Path]:
    return sorted(FOLDER.rglob("kustomization.yaml"))


def resources(kustomization: Path) -> Iterator[Manifest]:
    """Yield all resources of a kustomization from the files, without its patches."""
    for name in read(kustomization)[0].get("resources", ()):
        path = kustomization.parent / name
        yield from resources(path / "kustomization.yaml") if path.is_dir() else read(path)


def one(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    (found,) = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pods(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """Return pod templates by the name of their Deployment or Job."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in manifests
        if each["kind"] in ("Deployment", "Job")
    }


def container(pod: Manifest) -> Manifest:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def config_of(manifests: tuple[Manifest, ...], pod: Manifest) -> dict[str, str]:
    """Return the environment of a pod's container, without secrets. A CPU limit is a number of cores."""
    environ: dict[str, str] = {}
    for source in container(pod)["envFrom"]:
        if "configMapRef" in source:
            environ |= one(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    for each in container(pod).get("env", ()):
        environ[each["name"]] = container(pod)["resources"]["limits"]["cpu"]
        assert each["valueFrom"] == {"resourceFieldRef": {"resource": "limits.cpu"}}
    return environ
