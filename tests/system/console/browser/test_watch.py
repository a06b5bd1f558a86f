"""The harness itself: what a page must not do fails its test."""

import pytest

from tests.support.console.service import Service
from tests.support.stack.launched import until
from tests.system.console.browser.conftest import Watched

pytestmark = pytest.mark.slow

FAULTS = {
    "console.warn('careful')": "warning in the browser's console: careful",
    "setTimeout(() => { throw new Error('broken') })": "exception: broken",
    "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=f()>')": "the policy script-src-attr",
    "document.body.insertAdjacentHTML('beforeend', '<style>p {}</style>')": "the policy style-src",
    "fetch('/v1/none').catch(() => {})": "GET /v1/none: status 401",
    "document.body.append(Object.assign(new Image(), {src: 'http://localhost:9/x.png'}))": "the policy img-src",
}


@pytest.mark.parametrize(("script", "fault"), FAULTS.items())
async def test_a_fault_is_seen(service: Service, watched: Watched, script: str, fault: str) -> None:
    page = await watched.open(service.url, "/sign-in")
    await page.get_by_role("button", name="Sign in").wait_for()
    faults = watched.watch.faults
    assert faults == []
    await page.evaluate(f"() => {{ {script} }}")
    await until(lambda: any(fault in one for one in faults))
    await page.context.close()
    faults.clear()
