"""deploy/compose.yaml: checks in addition to the schema and compose-lint of `make check`."""

import re
from pathlib import Path

import pytest

from deploy.make_secrets import files_of
from ingest_service.server.supervisor import KILL_AFTER_S
from ingest_service.settings import IngestSettings
from processor_service.service import StopRequest
from processor_service.settings import ProcessorSettings
from shared.settings import load_settings
from tests.support.deployables.composed import COMPOSE, ONE_SHOTS, OURS, SERVICES, bytes_of, environ_of, seconds
from tests.support.deployables.dockerfile import INGEST, PROCESSOR, Dockerfile

EACH = pytest.mark.parametrize("name", SERVICES)


@EACH
def test_a_container_is_unprivileged_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@EACH
def test_a_container_restarts_and_has_a_health_check_unless_it_runs_once(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name in ONE_SHOTS else "unless-stopped")
    has_health_check = "build" in service or "test" in service.get("healthcheck", {})  # our images contain theirs
    assert has_health_check is (name not in ONE_SHOTS)


@EACH
def test_an_image_has_a_full_version(name: str) -> None:
    assert re.search(r":\d+\.\d+(\.\d+)?(-\w+)?(@sha256:\w+)?$", SERVICES[name]["image"])


def test_only_the_ingest_is_published_and_by_default_on_loopback() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "ingest": ["${PUBLISH:-127.0.0.1:8000}:8000"]
    }
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    outside = {name for name, service in SERVICES.items() if "outside" in service.get("networks", ())}
    assert outside == {*OURS, "watch"}


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_after_its_dependencies(name: str) -> None:
    needs = {other: need["condition"] for other, need in SERVICES[name]["depends_on"].items()}
    assert needs == {
        "migrate": "service_completed_successfully",
        "bucket": "service_completed_successfully",
        "valkey": "service_healthy",
    }


def test_every_secret_is_generated() -> None:
    generated = files_of()
    used = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    used |= {Path(name).name for service in SERVICES.values() for name in service.get("env_file", ())}
    assert used == set(generated)
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    assert [name for name in given if re.search("(PASSWORD|SECRET|KEY|KEY_ID|DATABASE_URL|REDIS_URL)$", name)] == []


def test_the_services_settings_are_valid(secrets: Path) -> None:
    ingest = {**Dockerfile(INGEST).environ, **environ_of("ingest", secrets)}
    assert load_settings(IngestSettings, ingest).storage_url == "s3://headrace/blobs"
    processor = {**Dockerfile(PROCESSOR).environ, **environ_of("processor", secrets)}
    assert load_settings(ProcessorSettings, processor).webhook_secret.reveal().startswith("whsec_")


async def test_a_container_has_time_to_stop(secrets: Path) -> None:
    processor = load_settings(ProcessorSettings, environ_of("processor", secrets))
    longest_s = StopRequest(grace_s=processor.grace_s)._within_s
    assert seconds(SERVICES["processor"]["stop_grace_period"]) >= longest_s
    assert seconds(SERVICES["ingest"]["stop_grace_period"]) > KILL_AFTER_S


def test_child_processes_reach_their_memory_limit_before_the_container(secrets: Path) -> None:
    processor = load_settings(ProcessorSettings, environ_of("processor", secrets))
    limit = bytes_of(SERVICES["processor"]["deploy"]["resources"]["limits"]["memory"])
    assert 0 < processor.slots * processor.child_memory_bytes <= limit - (512 << 20)


def test_processes_and_threads_match_the_cores(secrets: Path) -> None:
    def cores(name: str) -> float:
        return float(SERVICES[name]["deploy"]["resources"]["limits"]["cpus"])

    ingest = load_settings(IngestSettings, environ_of("ingest", secrets))
    processor = load_settings(ProcessorSettings, environ_of("processor", secrets))
    assert (ingest.ingest_processes, processor.threads) == (cores("ingest"), cores("processor"))
