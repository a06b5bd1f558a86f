"""The contents of an Azure Storage container, read by our own signed requests."""

import base64
import email.utils
import hmac
import re
from urllib.parse import urlencode, urlsplit

import aiohttp

ACCOUNT, ACCOUNT_KEY = "headrace", base64.b64encode(b"for-tests-only-b8WqLx").decode()
VERSION = "2021-08-06"


class Container:
    """A prefix of a container of the account at `endpoint`, which ends with the account's name."""

    def __init__(self, endpoint: str, name: str, prefix: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.prefix = prefix

    @property
    def url(self) -> str:
        return f"az://{self.name}/{self.prefix}"

    async def make(self) -> bool:
        """Create the container. Return whether it exists."""
        status, _ = await self._ask("PUT", {"restype": "container"})
        return status in {201, 409}

    async def keys(self) -> list[str]:
        """Return the visible keys without the prefix. Azure removes uncommitted blocks after a week."""
        status, answer = await self._ask("GET", {"comp": "list", "prefix": f"{self.prefix}/", "restype": "container"})
        assert status == 200, answer
        return sorted(re.findall(rf"<Name>{self.prefix}/([^<]*)</Name>", answer))

    async def _ask(self, method: str, query: dict[str, str]) -> tuple[int, str]:
        url = f"{self.endpoint}/{self.name}"
        async with (
            aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as client,
            client.request(method, f"{url}?{urlencode(query)}", headers=signed(method, url, query)) as answer,
        ):
            return answer.status, await answer.text()


def signed(method: str, url: str, query: dict[str, str]) -> dict[str, str]:
    """Return the headers of Azure's Shared Key, for a request without a body."""
    date = email.utils.formatdate(usegmt=True)
    named = "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
    empty = "\n" * 12  # headers that are not sent
    text = f"{method}{empty}x-ms-date:{date}\nx-ms-version:{VERSION}\n/{ACCOUNT}{urlsplit(url).path}{named}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), "sha256")).decode()
    return {"x-ms-date": date, "x-ms-version": VERSION, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
