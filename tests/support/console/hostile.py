"""Text of users that would be code, markup or control in a careless page, and a look at what a page made of it."""

import json
from contextlib import suppress
from typing import Any

from playwright.async_api import Error, Page, Route

HOSTILE = (
    '<img src=x onerror="window.owned=1">',
    '"><script>window.owned=1</script>',
    "javascript:window.owned=1",
    "${window.owned=1}{{constructor.constructor('window.owned=1')()}}",
    "<svg/onload=window.owned=1>",
    "\u202eb\u2066c\u200bd\u0007",  # turns the direction of text, has no width, rings
)
TEXT = " ".join(HOSTILE)
FILE_NAME = "'><img src=x onerror=window.owned=1> ${1+1} {{2}} javascript&colon;1.wav"
# Members of answers that hold what users, their programs and other services wrote.
MEMBERS = frozenset(
    "filename message last_message traceback answer body tenant purpose title detail host text word speaker label "
    "summary runbook author reason model engine metadata prompt warning key name".split()
)
# What markup in a text would have become.
INTRUDERS = """() => [...document.querySelectorAll(
    "main img, main script, main iframe, main [onerror], main [onload], a[href^='javascript' i]",
)].map((one) => one.outerHTML)
"""


def poisoned(value: Any, member: str = "") -> Any:
    """Return an answer with hostile text in place of each text that is not the service's own."""
    if isinstance(value, dict):
        return {name: poisoned(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one, member) for one in value]
    return TEXT if isinstance(value, str) and member in MEMBERS else value


async def poison(page: Page) -> None:
    """Let every JSON answer of the API hold hostile text, but for the session."""

    async def change(route: Route) -> None:
        if route.request.resource_type == "eventsource" or "/audio" in route.request.url:
            await route.continue_()
            return
        with suppress(Error):  # the page has gone on
            answer = await route.fetch()
            is_json = "json" in answer.headers.get("content-type", "")
            body = json.dumps(poisoned(await answer.json())) if is_json else await answer.body()
            await route.fulfill(response=answer, body=body)

    await page.route("**/v1/**", change)


async def assert_harmless(page: Page) -> None:
    """Assert that hostile text has become no element, and that no script of it ran."""
    assert await page.evaluate(INTRUDERS) == []
    assert await page.evaluate("() => 'owned' in window") is False
