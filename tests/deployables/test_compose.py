"""deploy/compose.yaml, beyond what its schema and compose-lint find in `make check`."""

import re
from pathlib import Path

import pytest

from deploy.make_secrets import files_of
from ingest_service.server.supervisor import KILL_AFTER_S
from ingest_service.settings import IngestSettings
from processor_service.service import StopOrder
from processor_service.settings import ProcessorSettings
from shared.settings import load_settings
from tests.deployables.composed import COMPOSE, ONE_SHOTS, OURS, SERVICES, bytes_of, environ_of, seconds
from tests.deployables.dockerfile import INGEST, PROCESSOR, Dockerfile

EACH = pytest.mark.parametrize("name", SERVICES)


@EACH
def test_a_container_can_do_little_and_take_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@EACH
def test_a_container_starts_again_and_tells_how_it_is_unless_it_comes_to_an_end(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name in ONE_SHOTS else "unless-stopped")
    has_health_check = "build" in service or "test" in service.get("healthcheck", {})  # ours is in the image
    assert has_health_check is (name not in ONE_SHOTS)


@EACH
def test_an_image_is_a_full_version(name: str) -> None:
    assert re.search(r":\d+\.\d+(\.\d+)?(-\w+)?(@sha256:\w+)?$", SERVICES[name]["image"])


def test_only_the_ingest_is_reachable_and_by_default_from_this_machine_alone() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "ingest": ["${PUBLISH:-127.0.0.1:8000}:8000"]
    }
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    outside = {name for name, service in SERVICES.items() if "outside" in service.get("networks", ())}
    assert outside == set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_when_what_it_needs_is_there(name: str) -> None:
    needs = {other: need["condition"] for other, need in SERVICES[name]["depends_on"].items()}
    assert needs == {
        "migrate": "service_completed_successfully",
        "bucket": "service_completed_successfully",
        "valkey": "service_healthy",
    }


def test_every_secret_is_one_that_is_made() -> None:
    made = files_of()
    used = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    used |= {Path(name).name for service in SERVICES.values() for name in service.get("env_file", ())}
    assert used == set(made)
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    assert [name for name in given if re.search("(PASSWORD|SECRET|KEY|KEY_ID|DATABASE_URL|REDIS_URL)$", name)] == []


def test_the_services_settings_can_be_read(secrets: Path) -> None:
    ingest = {**Dockerfile(INGEST).environ, **environ_of("ingest", secrets)}
    assert load_settings(IngestSettings, ingest).storage_url == "s3://headrace/blobs"
    processor = {**Dockerfile(PROCESSOR).environ, **environ_of("processor", secrets)}
    assert load_settings(ProcessorSettings, processor).webhook_secret.startswith("whsec_")


async def test_a_container_is_given_the_time_that_its_end_takes(secrets: Path) -> None:
    processor = load_settings(ProcessorSettings, environ_of("processor", secrets))
    longest_s = StopOrder(grace_s=processor.grace_s)._within_s
    assert seconds(SERVICES["processor"]["stop_grace_period"]) >= longest_s
    assert seconds(SERVICES["ingest"]["stop_grace_period"]) > KILL_AFTER_S


def test_a_part_runs_out_of_memory_before_its_container_does(secrets: Path) -> None:
    processor = load_settings(ProcessorSettings, environ_of("processor", secrets))
    limit = bytes_of(SERVICES["processor"]["deploy"]["resources"]["limits"]["memory"])
    assert 0 < processor.slots * processor.child_memory_bytes <= limit - (512 << 20)


def test_as_many_processes_and_threads_as_there_are_cores(secrets: Path) -> None:
    def cores(name: str) -> float:
        return float(SERVICES[name]["deploy"]["resources"]["limits"]["cpus"])

    ingest = load_settings(IngestSettings, environ_of("ingest", secrets))
    processor = load_settings(ProcessorSettings, environ_of("processor", secrets))
    assert (ingest.ingest_processes, processor.threads) == (cores("ingest"), cores("processor"))
