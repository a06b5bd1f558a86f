"""Certificates, and the settings of the services."""

from pathlib import Path

import pytest

from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.connections.certificates import Certificates, make_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def settings(service_database_url: str, redis_url: str, storage_url: str, tmp_path: Path) -> IngestSettings:
    (tmp_path / "scripted").mkdir()
    return IngestSettings(
        database_url=Secret(service_database_url),
        redis_url=Secret(redis_url),
        storage_url=storage_url,
        auth="none",
        ingest_processes=1,
    )
