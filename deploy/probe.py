"""Checks the health of a service on this machine: `python -m deploy.probe PORT PATH`. Images have no curl.

The exit status is 0 when it answers with 200, else 1 with the reason in one line on standard error.
"""

import http.client
import sys

TIMEOUT_S = 4.0  # shorter than the orchestrator's, so that the reason is printed


def probe(port: int, path: str) -> str | None:
    """Return what is wrong with the service, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error or type(error).__name__}"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else f"{answer.status}: {said}"


def main(arguments: list[str]) -> int:
    """Probe once and return the exit status."""
    port, path = arguments
    problem = probe(int(port), path)
    if problem:
        print(f"port {port}, {path}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
