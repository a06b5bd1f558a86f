"""`make browser-modules`: fetch the browser's modules that the lock names, and unpack the files that we serve.

    deploy/browser-modules.lock    {"<module>": {"for", "version", "integrity", "licence", "files": [paths in it]}}
    ingest_service/browser_modules/<module>/<file>    where they go, as they are; not part of the repository
    ingest_service/browser_modules/modules.json    the lock's entries of what is there; written last
    tests/system/console/modules/<module>/<file>    where those `for` tests go, if `--tests` is given

The registry is `npm_config_registry`, or the one that an installed npm is configured for. Every package must have the
sha512 of the lock. For another version, change `version`, and `integrity` to what this prints:

    npm view <module>@<version> dist.integrity

Uses the standard library only: an image is built with it.
"""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "deploy/browser-modules.lock"
FOLDER = ROOT / "ingest_service/browser_modules"
TESTS_FOLDER = ROOT / "tests/system/console/modules"
TESTS = "tests"  # the others are for the pages `docs` and `console`
TIMEOUT_S = 30
MAX_BYTES = 64 << 20  # of a package


class ModulesError(Exception):
    """The modules cannot be fetched; the message says why."""


def main(arguments: Sequence[str] = ()) -> int:
    """Fetch what is missing. Return the exit status, 1 with one line if something cannot be fetched."""
    lock = json.loads(LOCK.read_text())
    try:
        served = _used(lock, by_tests=False)
        fetch_modules(served, FOLDER, os.environ)
        (FOLDER / "modules.json").write_text(json.dumps(served, indent=2) + "\n")
        if "--tests" in arguments:
            fetch_modules(_used(lock, by_tests=True), TESTS_FOLDER, os.environ)
    except (ModulesError, OSError, tarfile.TarError, subprocess.SubprocessError) as error:
        print(
            f"browser modules: {error}; the console and `/docs` are not available, everything else works",
            file=sys.stderr,
        )
        return 1
    return 0


def _used(lock: Mapping[str, Any], *, by_tests: bool) -> dict[str, Any]:
    return {name: module for name, module in lock.items() if (module["for"] == TESTS) is by_tests}


def fetch_modules(lock: Mapping[str, Any], folder: Path, environ: Mapping[str, str]) -> None:
    """Fetch each module of the lock that `folder` does not have. Raises ModulesError and what libraries raise."""
    for name, module in lock.items():
        if not _is_there(folder / name, module["integrity"]):
            package = _download(_url(_registry(environ), name, module["version"]))
            check_integrity(name, package, module["integrity"])
            unpack(package, module, folder / name)


def _is_there(folder: Path, integrity: str) -> bool:
    mark = _mark(folder)
    return mark.exists() and mark.read_text() == integrity


def _mark(folder: Path) -> Path:
    return folder / "integrity"  # written last


def _registry(environ: Mapping[str, str]) -> str:
    """Return the registry's URL. Raise ModulesError if none is configured."""
    if configured := environ.get("npm_config_registry") or environ.get("NPM_CONFIG_REGISTRY"):
        return configured
    if (npm := shutil.which("npm")) is None:
        raise ModulesError("set npm_config_registry to the URL of an npm registry, or install npm")
    asked = subprocess.run([npm, "config", "get", "registry"], check=True, capture_output=True, text=True)
    return asked.stdout.strip()


def _url(registry: str, name: str, version: str) -> str:
    return f"{registry.rstrip('/')}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


def _download(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise ModulesError(f"the registry must be an http or https URL, not {url!r}")
    with urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the scheme is checked above
        package: bytes = answer.read(MAX_BYTES + 1)
    return package


def check_integrity(name: str, package: bytes, integrity: str) -> None:
    """Raise ModulesError unless a package has the sha512 of the lock."""
    found = f"sha512-{base64.b64encode(hashlib.sha512(package).digest()).decode()}"
    if found != integrity:
        raise ModulesError(f"the package of {name} is {found}, not {integrity}")


def unpack(package: bytes, module: Mapping[str, Any], folder: Path) -> None:
    """Write the named files of a package, without their folders, and then the mark. Raise ModulesError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for path in module["files"]:
            (folder / PurePosixPath(path).name).write_bytes(_file(archive, path))
    _mark(folder).write_text(module["integrity"])


def _file(archive: tarfile.TarFile, path: str) -> bytes:
    member = archive.extractfile(f"package/{path}")
    if member is None:
        raise ModulesError(f"the package has no file {path}")
    return member.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
