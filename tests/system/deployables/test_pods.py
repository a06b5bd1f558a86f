"""The manifests, compared with the services: settings, ports, memory and shutdown time."""

from pathlib import Path

import pytest

from ingest_service.server.supervisor import KILL_AFTER_S
from ingest_service.settings import IngestSettings
from processor_service.service import StopRequest
from processor_service.settings import ProcessorSettings
from shared.settings import load_settings
from tests.support.deployables.composed import bytes_of, environ_of
from tests.support.deployables.dockerfile import INGEST, PROCESSOR, Dockerfile
from tests.support.deployables.manifests import (
    Manifest,
    built,
    config_of,
    container,
    pods,
)

pytestmark = pytest.mark.process

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
SECRET_KEYS = (
    "HEADRACE_DATABASE_URL",
    "HEADRACE_REDIS_URL",
    "HEADRACE_WEBHOOK_SECRET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


def test_the_services_settings_are_valid(overlay: str, secrets: Path) -> None:
    _ingest(overlay, secrets)
    _processor(overlay, secrets)


async def test_a_pod_has_time_to_stop(overlay: str, secrets: Path) -> None:
    ingest, processor = (pods(built(overlay))[f"headrace-{name}"] for name in ("ingest", "processor"))
    pause_s = container(ingest)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert ingest["spec"]["terminationGracePeriodSeconds"] > pause_s + KILL_AFTER_S
    longest_s = StopRequest(grace_s=_processor(overlay, secrets).grace_s)._within_s
    assert processor["spec"]["terminationGracePeriodSeconds"] >= longest_s


def test_child_processes_reach_their_memory_limit_before_the_pod(overlay: str, secrets: Path) -> None:
    settings, pod = _processor(overlay, secrets), pods(built(overlay))["headrace-processor"]
    in_memory = sum(
        bytes_of(volume["emptyDir"]["sizeLimit"])
        for volume in pod["spec"]["volumes"]
        if volume.get("emptyDir", {}).get("medium") == "Memory"
    )
    limit = bytes_of(container(pod)["resources"]["limits"]["memory"])
    assert 0 < settings.slots * settings.child_memory_bytes + in_memory <= limit - (512 << 20)


def test_the_probes_use_the_services_ports_and_paths(overlay: str, secrets: Path) -> None:
    ingest, processor = (container(pods(built(overlay))[f"headrace-{name}"]) for name in ("ingest", "processor"))
    assert ingest["ports"] == [{"name": "http", "containerPort": _ingest(overlay, secrets).port}]
    assert [ingest[probe]["httpGet"]["path"] for probe in PROBES] == ["/health/live", "/health/live", "/health/ready"]
    commands = [processor[probe]["exec"]["command"] for probe in PROBES]
    assert commands[0] == commands[1] == Dockerfile(PROCESSOR).health_command
    assert commands[2] == [*commands[0][:-1], "/health/ready"]
    port = _processor(overlay, secrets).health_port
    assert commands[0][3] == str(port)
    assert processor["ports"] == [{"name": "health", "containerPort": port}]
    for probe in PROBES[1:]:
        assert ingest[probe]["timeoutSeconds"] > 4  # deploy.probe.TIMEOUT_S; the ingest's own checks take 2 s
        assert processor[probe]["timeoutSeconds"] > 4


def test_the_images_writable_folders_are_mounted(overlay: str) -> None:
    mounts = {
        mount["mountPath"]
        for mount in container(pods(built(overlay))["headrace-processor"])["volumeMounts"]
        if not mount.get("readOnly")
    }
    environ = Dockerfile(PROCESSOR).environ
    assert mounts == {environ["HOME"], environ["HEADRACE_SCRATCH_DIR"]}


def test_mounted_models_are_in_the_images_model_folder() -> None:
    mounts = container(pods(built("mounted-models"))["headrace-processor"])["volumeMounts"]
    (models,) = [mount for mount in mounts if mount["name"] == "models"]
    assert (models["mountPath"], models["readOnly"]) == (Dockerfile(PROCESSOR).environ["HEADRACE_MODEL_DIR"], True)


def test_a_gpu_processor_requests_and_uses_a_gpu(secrets: Path) -> None:
    pod = pods(built("gpu"))["headrace-processor"]
    assert container(pod)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container(pod)["image"].endswith("-cuda")
    assert _processor("gpu", secrets).device == "cuda"


def _ingest(overlay: str, secrets: Path) -> IngestSettings:
    return load_settings(IngestSettings, _environ(overlay, "ingest", secrets))


def _processor(overlay: str, secrets: Path) -> ProcessorSettings:
    return load_settings(ProcessorSettings, _environ(overlay, "processor", secrets))


def _environ(overlay: str, name: str, secrets: Path) -> dict[str, str]:
    """Return a container's environment: the image's, the manifests', and Compose's values for the secrets."""
    pod: Manifest = pods(built(overlay))[f"headrace-{name}"]
    image = Dockerfile(INGEST if name == "ingest" else PROCESSOR).environ
    secret = {key: value for key, value in environ_of(name, secrets).items() if key in SECRET_KEYS}
    return {**image, **config_of(built(overlay), pod), **secret}
