"""A certificate authority for tests, a server certificate for one host, and another, untrusted authority."""

import os
import subprocess
from pathlib import Path

import msgspec

from deploy.local.unprivileged import give_to_nobody
from tests.support.connections.programs import program

DAYS = ("-days", "2")
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificates(msgspec.Struct, frozen=True):
    """Paths of the files. The key is readable by the user that runs the servers."""

    ca: Path
    wrong_ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, host: str = "localhost") -> Certificates:
    """Create the files. The certificate is for `host` only: one for `localhost` does not match 127.0.0.1."""
    _authority(folder / "ca.pem", folder / "ca.key")
    _authority(folder / "wrong-ca.pem", folder / "wrong-ca.key")
    request, certificate, key = folder / "request.pem", folder / "server.pem", folder / "server.key"
    _openssl("req", "-new", *NEW_KEY, "-subj", f"/CN={host}", "-keyout", key, "-out", request)
    names = folder / "names"
    names.write_text(f"subjectAltName=DNS:{host}\n")
    signer = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial")
    _openssl("x509", "-req", "-in", request, *signer, *DAYS, "-extfile", names, "-out", certificate)
    key.chmod(0o600)
    give_to_nobody(key)
    return Certificates(folder / "ca.pem", folder / "wrong-ca.pem", certificate, key)


def _authority(certificate: Path, key: Path) -> None:
    usage = ("-addext", "keyUsage=critical,keyCertSign")
    _openssl("req", "-x509", *NEW_KEY, *DAYS, "-subj", "/CN=tests", *usage, "-keyout", key, "-out", certificate)


def _openssl(*arguments: str | Path) -> None:
    command = [program("openssl"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OPENSSL_CONF": ""})
