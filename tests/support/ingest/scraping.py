"""Read `/metrics` with Prometheus' own parser."""

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.ingest.serving import Ingest

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """The samples of one answer."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        samples = [sample for family in self.families for sample in family.samples]
        self._samples: Samples = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
        assert len(samples) == len(self._samples)

    def get(self, name: str, **labels: str) -> float:
        return self._samples["headrace_ingest_" + name, frozenset(labels.items())]


async def scrape_url(client: aiohttp.ClientSession, url: str) -> Scrape:
    async with client.get(url + "/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Scrape(await answer.text())


async def scrape(ingest: Ingest) -> Scrape:
    return await scrape_url(ingest.client, ingest.url)
