"""Every statement that writes to a disk or to the blob store asks the disk reserve, or has a reason not to.

The walk finds all of them in the source of the services. A new one fails this test until it is listed.
"""

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.support.stack.launched import ROOT

SERVICES = ("ingest_service", "processor_service", "shared")

# Functions that write files, by their last name. `open` and SoundFile only with a mode or a flag that writes.
WRITE_CALLS = {
    *("write_bytes", "write_text", "tofile", "memmap", "truncate", "ftruncate", "pwrite", "sendfile", "savez", "save"),
    *("copyfile", "copyfileobj", "copytree", "copy2", "mkstemp", "NamedTemporaryFile", "TemporaryFile"),
    *("put_async", "open_writer_async", "copy_async", "rename_async", "write_whole", "put_into_bucket", "symlink_to"),
}
MODES = set("wax+")
WRITE_FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND"}
BLOB_WRITES = {"put", "put_small", "copy", "download"}  # methods of BlobStore

# The writers that ask: the blob store for its disk and for downloads, the child's files for their request's limits.
GUARDED = {
    "shared/blobs/blob_store.py BlobStore.put put_async",
    "shared/blobs/blob_store.py BlobStore.put put_into_bucket",
    "shared/blobs/blob_store.py BlobStore.put_small put",
    "shared/blobs/blob_store.py BlobStore.put_small write_whole",
    "shared/blobs/blob_store.py BlobStore.copy copy_async",
    "shared/blobs/blob_store.py BlobStore.download open",
    "processor_service/audio/scratch_files.py write_file write_bytes",
    "processor_service/audio/flac.py FlacWriter.__init__ SoundFile",
    "processor_service/stages/work.py Work.put put",
    "processor_service/stages/work.py Work.local_file download",
    "processor_service/stages/voice_samples.py Sampler._decoded download",
}
# Callers of the blob store that write no derived bytes, or few: a transcript again, with a summary of bounded length.
SOURCES = {
    "ingest_service/tus/parts.py PartReceiver._store_parts put",
    "ingest_service/uploads/receive.py store_audio put",
    "ingest_service/uploads/receive.py store_small_audio put_small",
    "ingest_service/uploads/presigned_uploads.py DirectSubmitter._copy copy",
    "processor_service/sources/fetch_source.py _Fetch._store put",
    "processor_service/stages/summarize.py Summarizer.summarize put",
    "processor_service/stages/summarize.py Summarizer._asked.save put",
}
BUCKET = "a bucket has no disk of ours; BlobStore.put calls it"
COMMAND = "a command of the operator, or the start of a processor: no client causes it"
SCRIPTED = "the transcriber for tests"
EXEMPT = {
    "shared/blobs/bucket.py put_into_bucket put_async": BUCKET,
    "shared/blobs/bucket.py put_into_bucket open_writer_async": BUCKET,
    "processor_service/results/put_result.py _into_bucket put_async": "a bucket of a client",
    "shared/blobs/local_files.py _create_partial open": "BlobStore.put_small asks before it calls this",
    "shared/telemetry/metric_registry.py MetricRegistry.share open": "one file a process, of a fixed size",
    "shared/telemetry/metric_registry.py MetricRegistry.share truncate": "as above",
    "processor_service/audio/pieces.py Piece.open open": "the type of its mode allows only rb",
    "processor_service/compute/isolation.py isolate write_text": "a file of /proc",
    "processor_service/compute/isolation.py _leave_network write_text": "a file of /proc",
    "shared/background.py _lower_session write_text": "a file of /proc",
    "processor_service/models/packages.py _download_wheel write_text": COMMAND,
    "processor_service/scratch.py _lock open": "an empty file",
    "processor_service/diarization/weights.py _fetch write_bytes": COMMAND,
    "processor_service/models/cache.py ModelCache.store write_bytes": COMMAND,
    "processor_service/models/convert_ctranslate2.py convert_model save": COMMAND,
    "processor_service/models/packages.py download open": COMMAND,
    "processor_service/models/packages.py unpack_beside write_bytes": COMMAND,
    "processor_service/models/packages.py unpack_weights open": COMMAND,
    "processor_service/transcribers/scripted.py Scripted._record_call open": SCRIPTED,
    "processor_service/transcribers/scripted.py _fill_disk NamedTemporaryFile": SCRIPTED,
}
# Requests to a compute child carry the limits of what they may write if they are made by Work.ask, or here.
ASKS = {
    "processor_service/stages/voice_samples.py Sampler._decoded self.slot.ask",  # the budget of the sample's source
    "processor_service/stages/voice_samples.py Sampler._embed self.slot.ask",  # may write nothing
    "processor_service/stages/work.py Work.ask self.slot.ask",
    "processor_service/compute/pool.py Slot.ask self.child.ask",
    "processor_service/compute/child_process.py ComputeChild.start child.ask",  # Warm may write nothing
}
CHECKS_ONLY = {"ingest_service/__main__.py"}  # opens the store to see whether it can be opened


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _receiver(call: ast.Call) -> str:
    return ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def _writes(call: ast.Call) -> bool:
    name, receiver = _name(call), _receiver(call)
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if name in WRITE_CALLS or (receiver == "soundfile" and name == "write"):
        return True
    if name in BLOB_WRITES and ("blobs" in receiver or receiver == "self") and receiver != "blob_keys":
        return True
    if receiver == "os" and name == "open":
        return any(isinstance(node, ast.Attribute) and node.attr in WRITE_FLAGS for node in ast.walk(call))
    if name in {"open", "SoundFile"}:
        modes = [one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        variable = [ast.unparse(one) for one in arguments if "mode" in ast.unparse(one)]
        return bool(variable) or any(MODES & set(mode) for mode in modes if len(mode) <= 3)
    return False


Matches = Callable[[ast.Call], str | None]


def _found(tree: ast.AST, matches: Matches, owner: str = "") -> Iterator[str]:
    """Yield the function and the match of each call that matches."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _found(node, matches, f"{owner}.{node.name}" if owner else node.name)
            continue
        if isinstance(node, ast.Call) and (match := matches(node)):
            yield f"{owner} {match}"
        yield from _found(node, matches, owner)


def _calls(matches: Matches) -> set[str]:
    files = [file for service in SERVICES for file in sorted((ROOT / service).rglob("*.py"))]
    return {f"{file.relative_to(ROOT)} {one}" for file in files for one in _found(ast.parse(file.read_text()), matches)}


def test_every_writer_asks_the_reserve_or_has_a_reason_not_to() -> None:
    found = _calls(lambda call: _name(call) if _writes(call) else None)

    assert found == GUARDED | SOURCES | EXEMPT.keys()


def test_every_request_to_a_child_carries_its_limits() -> None:
    def asks(call: ast.Call) -> str | None:
        asked = ast.unparse(call.func)
        return asked if asked.endswith(("slot.ask", "child.ask")) else None

    assert _calls(asks) == ASKS


def test_every_blob_store_of_a_service_has_the_reserve() -> None:
    def opens_without(call: ast.Call) -> str | None:
        has_reserve = any(keyword.arg == "min_free_bytes" for keyword in call.keywords)
        return "BlobStore" if _name(call) == "BlobStore" and not has_reserve else None

    assert {one.split()[0] for one in _calls(opens_without)} == CHECKS_ONLY


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'wb')",
        "open(path, mode='a')",
        "path.open('xb')",
        "path.open('r+b')",
        "path.open(mode)",
        "Path(p).write_bytes(b'')",
        "os.open(path, os.O_RDWR | os.O_CREAT)",
        "soundfile.SoundFile(path, 'w', 8000, 1)",
        "soundfile.write(path, samples, 8000)",
        "av.open(path, 'w')",
        "samples.tofile(path)",
        "np.save(path, samples)",
        "self.blobs.put(key, b'')",
        "work.blobs.download(key, path)",
        "processor.blobs.copy(key, other)",
        "obstore.put_async(store, key, b'')",
        "shutil.copyfile(a, b)",
        "tempfile.NamedTemporaryFile()",
    ],
)
def test_the_walk_finds_a_new_writer(code: str) -> None:
    tree = ast.parse(f"async def new() -> None:\n    {code}")

    assert list(_found(tree, lambda call: _name(call) if _writes(call) else None)), code
