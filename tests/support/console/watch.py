"""What must not happen in a browser while a test uses the console.

Every message of the browser's console, exception, violation of the Content-Security-Policy, request to another host and
failed request is a fault, unless the test expects the failed request. Chromium itself writes a message for each failed
request; those are left out, because the requests are judged.
"""

import re
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Request, Response, WebError

OF_A_REQUEST = re.compile(r"Failed to load resource: (the server responded with a status of \d+|net::ERR_)")
# The page itself ends a request: it goes on to another page, or it closes a stream.
ABORTED = "net::ERR_ABORTED"
REPORT_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation", (event) =>
        reportViolation(`${event.effectiveDirective} blocks ${event.blockedURI}: ${event.sourceFile}`));
"""


class Watch:
    """The faults of a browser's context."""

    def __init__(self, origin: str) -> None:
        self.faults: list[str] = []
        self.requests: list[str] = []  # "METHOD /path"
        self._origin = origin
        # Without a session, that is how the console finds out that it needs one.
        self._expected = [(401, re.compile(r"GET /v1/session"))]

    async def attach(self, context: BrowserContext) -> None:
        """Watch all pages of a context that has none yet."""
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._requested)
        context.on("response", self._answered)
        context.on("requestfailed", self._failed)
        await context.expose_function("reportViolation", self._violated)
        await context.add_init_script(REPORT_VIOLATIONS)

    def expect(self, status: int, pattern: str) -> None:
        """Expect answers of this status, 0 for none, to requests "METHOD /path" that match from their beginning."""
        self._expected.append((status, re.compile(pattern)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not OF_A_REQUEST.match(message.text):
            self.faults.append(f"{message.type} in the browser's console: {message.text}")

    def _error(self, error: WebError) -> None:
        self.faults.append(f"exception: {error.error}")

    def _violated(self, text: str) -> None:
        self.faults.append(f"the policy {text}")

    def _requested(self, request: Request) -> None:
        self.requests.append(_line(request))
        if request.url.startswith("http") and not request.url.startswith(f"{self._origin}/"):
            self.faults.append(f"a request to another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self._judge(response.status, response.request, f"status {response.status}")

    def _failed(self, request: Request) -> None:
        if request.failure != ABORTED:
            self._judge(0, request, request.failure or "no answer")

    def _judge(self, status: int, request: Request, what: str) -> None:
        line = _line(request)
        if not any(status == expected and pattern.match(line) for expected, pattern in self._expected):
            self.faults.append(f"{line}: {what}")


def _line(request: Request) -> str:
    parts = urlsplit(request.url)
    return f"{request.method} {parts.path}" + (f"?{parts.query}" if parts.query else "")
