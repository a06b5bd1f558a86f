"""A real Postgres that takes connections by TLS alone: an installed one, since the embedded one is built without."""

from pathlib import Path

import pytest

from deploy.local import postgres
from deploy.local.data_dir import kept_password
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from tests.connections.certificates import Certificates

INSTALLED = "usr/lib/postgresql/*/bin/postgres"
ONLY_BY_TLS = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


def installed_programs() -> Path:
    """The newest one's folder."""
    found = sorted(Path("/").glob(INSTALLED), key=lambda path: int(path.parts[-3].partition(".")[0]))
    if not found:
        pytest.skip("there is no Postgres with TLS on this machine")
    return found[-1].parent


class TlsPostgres(Postgres):
    """At `localhost`, the one name in its certificate."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        kept_password(folder / "password")
        super().__init__(folder / "data", folder / "password", Processes(), durable=False)
        rules = folder / "hba"
        rules.write_text(ONLY_BY_TLS)
        files = {"ssl_cert_file": certificates.certificate, "ssl_key_file": certificates.key, "hba_file": rules}
        flags = [f"{name}={value}" for name, value in {"ssl": "on", **files}.items()]
        ours = tuple(part for flag in flags for part in ("-c", flag))
        self._options = (*self._options, *ours)
        self._ca = certificates.ca

    def database_url(self, database: str) -> str:
        return f"{self.plain_url(database)}?sslmode=verify-full&sslrootcert={self._ca}"

    def plain_url(self, database: str) -> str:
        return super().database_url(database).replace("127.0.0.1", "localhost")


def use_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = installed_programs()
    monkeypatch.setattr(postgres, "binaries", lambda: programs)
