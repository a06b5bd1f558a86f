"""PyTorch's index of CPU builds on loopback: a proxy that answers for its host and tunnels to all others.

The wheels are those that pip's own configuration yields on this machine.
"""

import contextlib
import http.server
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

from tests.support.connections.certificates import Certificates

HOST = "download.pytorch.org"
COPY_BYTES = 1 << 16


def download_wheels(requirement: str, folder: Path) -> str:
    """Download a CPU build of torch and its dependencies. Return the error, or an empty string."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), requirement]
    looked = subprocess.run([*pip, "--no-deps"], check=False, capture_output=True, text=True)
    wheels = [path.name for path in folder.glob("torch-*.whl")]
    if looked.returncode or "+cpu" not in unquote("".join(wheels)):
        return f"pip's configuration yields no CPU build of {requirement}"
    subprocess.run(pip, check=True, capture_output=True)
    return ""


class CpuIndex(http.server.BaseHTTPRequestHandler):
    """A proxy. It answers CONNECT to HOST itself, with TLS, and tunnels to other hosts."""

    wheels: Path
    tls: ssl.SSLContext

    def do_CONNECT(self) -> None:
        host, _, port = self.path.partition(":")
        self.send_response(HTTPStatus.OK)
        self.end_headers()
        self.wfile.flush()
        if host == HOST:
            with self.tls.wrap_socket(self.connection, server_side=True) as encrypted:
                self._answer(encrypted)
        else:
            with socket.create_connection((host, int(port))) as upstream:
                _copy_both_ways(self.connection, upstream)
        self.close_connection = True

    def _answer(self, encrypted: ssl.SSLSocket) -> None:
        """Answer the one request of a TLS connection."""
        with encrypted.makefile("rb") as self.rfile, encrypted.makefile("wb") as self.wfile:
            self.handle_one_request()

    def do_GET(self) -> None:
        name = unquote(self.path.rstrip("/").rpartition("/")[2])
        path = self.wheels / name
        content = path.read_bytes() if name.endswith(".whl") and path.is_file() else self._page(name)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html" if content[:1] == b"<" else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _page(self, project: str) -> bytes:
        named = project.replace("-", "_").lower()
        files = [path.name for path in self.wheels.iterdir() if path.name.lower().startswith(f"{named}-")]
        return ("<html>" + "".join(f'<a href="/whl/{name}">{name}</a>' for name in files) + "</html>").encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Print nothing."""


@contextlib.contextmanager
def serving(wheels: Path, certificates: Certificates) -> Iterator[str]:
    """Run the proxy during a block. Yield its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    handler = type("Handler", (CpuIndex,), {"wheels": wheels, "tls": context})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _copy_both_ways(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_copy, args=(other, one))
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(COPY_BYTES):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
