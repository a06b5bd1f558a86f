"""The browser's modules: fetched from a registry on loopback, compared with the lock, unpacked as named."""

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy import browser_modules
from deploy.browser_modules import LOCK, ModulesError, fetch_modules, main

FILES = {
    "package/dist/a.js": b"let a;",
    "package/a.css": b"a{}",
    "package/../../evil.js": b"evil",
    "package/b.js": b"b",
}


def packed(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


class Registry(NamedTuple):
    url: str
    folder: Path
    asked: list[str]

    def environ(self) -> dict[str, str]:
        return {"npm_config_registry": self.url}

    def publish(self, name: str, version: str, package: bytes) -> dict[str, Any]:
        path = self.folder / name / "-" / f"{name.rpartition('/')[2]}-{version}.tgz"
        path.parent.mkdir(parents=True)
        path.write_bytes(package)
        integrity = f"sha512-{base64.b64encode(hashlib.sha512(package).digest()).decode()}"
        return {"version": version, "integrity": integrity, "licence": "MIT", "files": ["dist/a.js", "a.css"]}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            asked.append(self.path)

    folder = tmp_path / "registry"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Registry(f"http://127.0.0.1:{server.server_port}/", folder, asked)
        server.shutdown()


@pytest.mark.parametrize("name", ["viewer", "@scope/viewer"])
def test_the_named_files_are_unpacked_and_fetched_once(registry: Registry, tmp_path: Path, name: str) -> None:
    lock = {name: registry.publish(name, "1.2.3", packed(FILES))}
    for _ in range(2):
        fetch_modules(lock, tmp_path / "modules", registry.environ())
    found = {path.name: path.read_bytes() for path in (tmp_path / "modules" / name).iterdir()}
    assert found.pop("integrity").decode() == lock[name]["integrity"]
    assert found == {"a.js": b"let a;", "a.css": b"a{}"}
    assert len(registry.asked) == 1
    assert not list(tmp_path.rglob("evil.js"))


def test_another_version_replaces_the_files(registry: Registry, tmp_path: Path) -> None:
    first = registry.publish("viewer", "1.0.0", packed(FILES))
    fetch_modules({"viewer": first}, tmp_path / "modules", registry.environ())
    registry.folder.joinpath("viewer").rename(registry.folder / "old")
    second = registry.publish("viewer", "2.0.0", packed(FILES | {"package/a.css": b"b{}"})) | {"files": ["a.css"]}
    fetch_modules({"viewer": second}, tmp_path / "modules", registry.environ())
    assert sorted(path.name for path in (tmp_path / "modules/viewer").iterdir()) == ["a.css", "integrity"]
    assert (tmp_path / "modules/viewer/a.css").read_bytes() == b"b{}"


def test_a_changed_package_is_refused_and_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    module = registry.publish("viewer", "1.0.0", packed(FILES))
    (package,) = registry.folder.rglob("*.tgz")
    package.write_bytes(packed(FILES | {"package/b.js": b"changed"}))
    with pytest.raises(ModulesError, match="sha512-"):
        fetch_modules({"viewer": module}, tmp_path / "modules", registry.environ())
    assert not (tmp_path / "modules").exists()


def test_what_the_pages_use_is_listed_and_what_tests_use_stays_apart(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = {
        "viewer": {"for": "console", **registry.publish("viewer", "1.0.0", packed(FILES))},
        "checker": {"for": "tests", **registry.publish("checker", "1.0.0", packed(FILES))},
    }
    for name, path in {"LOCK": "lock", "FOLDER": "served", "TESTS_FOLDER": "tests"}.items():
        monkeypatch.setattr(browser_modules, name, tmp_path / path)
    (tmp_path / "lock").write_text(json.dumps(lock))
    monkeypatch.setenv("npm_config_registry", registry.url)

    assert main() == 0
    assert not (tmp_path / "tests").exists()
    assert main(["--tests"]) == 0

    assert json.loads((tmp_path / "served/modules.json").read_text()) == {"viewer": lock["viewer"]}
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["modules.json", "viewer"]
    assert [path.name for path in (tmp_path / "tests").iterdir()] == ["checker"]


def test_without_a_registry_one_line_says_what_to_do(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser_modules, "FOLDER", tmp_path / "modules")
    monkeypatch.setenv("PATH", str(tmp_path))  # no npm
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    assert main() == 1
    assert "set npm_config_registry" in capsys.readouterr().err
    monkeypatch.setenv("npm_config_registry", registry.url)
    assert main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "404" in line
    assert "everything else works" in line


def test_the_lock_names_version_hash_licence_and_files() -> None:
    lock = json.loads(LOCK.read_text())
    assert lock
    for module in lock.values():
        assert module.keys() == {"for", "version", "integrity", "licence", "files"}
        assert module["integrity"].startswith("sha512-")
        assert any(path.startswith("LICEN") for path in module["files"])
