"""The files of the console: what they import, what they never contain, and how much a browser loads first."""

import gzip
import re
from pathlib import Path, PurePosixPath

import pytest

from ingest_service.console_files import CONSOLE, LIST, MODULES, read_console
from shared.schemas.languages import LANGUAGES

FETCHED = pytest.mark.skipif(not (MODULES / LIST).exists(), reason="no modules: make browser-modules")
IMPORT = re.compile(
    r"""(?:^|[;}\n])\s*(?:import|export)\b(?:[^"'();]*\bfrom)?\s*["']([^"']+)["']|\bimport\(["']([^"']+)["']\)"""
)
STATIC = re.compile(r"""(?:^|\n)(?:import|export)\b(?:[^"'();]*\bfrom)?\s*["']([^"']+)["']""")
# Markup from text, code from text, and styles in markup: the policy forbids the latter two.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|unsafeHTML|\beval\(|new Function|style=|"
    r"javascript:"
)
FIRST_LOAD_BYTES = 150_000
SCRIPTS = sorted(CONSOLE.rglob("*.js"))


def resolved(importer: str, imported: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(importer).parent / imported).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def name_of(path: Path) -> str:
    return path.relative_to(CONSOLE).as_posix()


@FETCHED
@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_imports_are_relative_and_there(path: Path) -> None:
    files = read_console().files
    for found in IMPORT.finditer(path.read_text()):
        imported = found[1] or found[2]
        assert imported.startswith(("./", "../")), imported
        assert resolved(name_of(path), imported) in files, imported


@FETCHED
def test_modules_import_nothing_by_name() -> None:
    for name, file in read_console().files.items():
        if name.startswith("modules/") and name.endswith(".js"):
            assert not re.search(r"""\b(?:from|import) ?["'][^."'\s]+["']""", file.plain.decode()), name


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_no_script_makes_markup_or_code_of_text(path: Path) -> None:
    assert not FORBIDDEN.search(re.sub(r"//.*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL))


def test_every_page_has_its_style() -> None:
    pages = {path.stem for path in (CONSOLE / "pages").glob("*.js")}
    assert pages == {path.stem for path in (CONSOLE / "pages").glob("*.css")}
    assert all(f'"{page}"' in (CONSOLE / "router.js").read_text() for page in pages)


@FETCHED
@pytest.mark.parametrize("page", sorted(path.stem for path in (CONSOLE / "pages").glob("*.js")))
def test_the_first_load_is_small(page: str) -> None:
    files = read_console().files
    wanted, loaded = ["main.js", f"pages/{page}.js"], set[str]()
    while wanted:
        if (name := wanted.pop()) not in loaded:
            loaded.add(name)
            wanted += [resolved(name, one) for one in STATIC.findall(files[name].plain.decode())]
    loaded |= {"tokens.css", "base.css", f"pages/{page}.css"}
    assert sum(len(files[name].gzipped) for name in loaded) < FIRST_LOAD_BYTES


def test_the_hash_follows_every_byte_and_name(tmp_path: Path) -> None:
    def hash_of(folder: str, **files: str) -> str:
        (tmp_path / folder).mkdir()
        pages = {"index.html": "{files}", "not-installed.html": "{files}"}
        for name, text in (pages | files).items():
            (tmp_path / folder / name).write_text(text)
        return read_console(tmp_path / folder, tmp_path / "none").hash

    hashes = [hash_of("0"), hash_of("1", **{"a.js": "1"}), hash_of("2", **{"a.js": "2"}), hash_of("3", **{"b.js": "2"})]
    assert len(set(hashes)) == 4
    assert hash_of("4", **{"a.js": "1"}) == hashes[1]


def test_what_is_served_compressed_is_the_file() -> None:
    for name, file in read_console().files.items():
        assert gzip.decompress(file.gzipped) == file.plain, name


def test_the_languages_are_those_of_the_service() -> None:
    listed = re.search(r"CODES = `([^`]*)`", (CONSOLE / "uploads/languages.js").read_text())
    assert listed
    assert set(listed[1].split()) == LANGUAGES


MODULES_JSON = b'{"one": {"for": "console", "files": ["dist/one.js", "LICENSE"]}}'


@pytest.mark.parametrize(
    ("files", "is_there"),
    [
        ({LIST: MODULES_JSON, "one/one.js": b"1", "one/LICENSE": b"MIT"}, True),
        ({LIST: MODULES_JSON, "one/one.js": b"1"}, False),
        ({LIST: MODULES_JSON}, False),
        ({LIST: MODULES_JSON[:-9], "one/one.js": b"1", "one/LICENSE": b"MIT"}, False),
        ({"one/one.js": b"1", "one/LICENSE": b"MIT"}, False),
    ],
)
def test_modules_that_were_fetched_in_part_are_not_there(
    tmp_path: Path, files: dict[str, bytes], *, is_there: bool
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    console = read_console(modules=tmp_path)
    assert (b"app-layout" in console.page.plain) is is_there
    assert ("modules/one/one.js" in console.files) is is_there
    assert (b"make browser-modules" in console.page.plain) is not is_there
