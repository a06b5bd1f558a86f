"""A real, installed PostgreSQL that accepts TLS connections only. The embedded one is built without TLS."""

from pathlib import Path

import pytest

from deploy.local import postgres
from deploy.local.data_dir import stored_password
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from tests.support.connections.certificates import Certificates

INSTALLED = "usr/lib/postgresql/*/bin/postgres"
TLS_ONLY = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


def installed_programs() -> Path:
    """Return the program folder of the newest installed version."""
    found = sorted(Path("/").glob(INSTALLED), key=lambda path: int(path.parts[-3].partition(".")[0]))
    if not found:
        pytest.skip("PostgreSQL with TLS is not installed")
    return found[-1].parent


class TlsPostgres(Postgres):
    """A PostgreSQL at `localhost`, the only name in its certificate."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        stored_password(folder / "password")
        super().__init__(folder / "data", folder / "password", Processes(), durable=False)
        rules = folder / "hba"
        rules.write_text(TLS_ONLY)
        files = {"ssl_cert_file": certificates.certificate, "ssl_key_file": certificates.key, "hba_file": rules}
        flags = [f"{name}={value}" for name, value in {"ssl": "on", **files}.items()]
        tls_options = tuple(part for flag in flags for part in ("-c", flag))
        self._options = (*self._options, *tls_options)
        self._ca = certificates.ca

    def database_url(self, database: str) -> str:
        return f"{self.plain_url(database)}?sslmode=verify-full&sslrootcert={self._ca}"

    def plain_url(self, database: str) -> str:
        return super().database_url(database).replace("127.0.0.1", "localhost")


def use_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = installed_programs()
    monkeypatch.setattr(postgres, "binaries", lambda: programs)
