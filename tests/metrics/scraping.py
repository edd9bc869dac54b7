"""Scraping an exporter as Prometheus does, and reading what it said by its own parser."""

from __future__ import annotations

import asyncio
import urllib.request
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from loco_redis.metrics.prometheus import PrometheusExporter


@dataclass(frozen=True)
class Scrape:
    """One scrape: the text, and its families by name as Prometheus knows them."""

    text: str
    families: dict[str, Metric]

    def all(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of a name: the values of all labels but `resource`, by their names' order,
        -> value."""
        return {
            tuple(
                value for label, value in sorted(s.labels.items()) if label != "resource"
            ): s.value
            for family in self.families.values()
            for s in family.samples
            if s.name == name
        }

    def one(self, name: str, *labels: str) -> float:
        return self.all(name)[labels]

    @property
    def sample_names(self) -> set[str]:
        return {s.name for family in self.families.values() for s in family.samples}


def parse(text: str) -> Scrape:
    return Scrape(text, {family.name: family for family in text_string_to_metric_families(text)})


def scrape(url: str | None, timeout: float = 20.0) -> Scrape:
    """Blocks: in a loop that has to turn meanwhile, call it by `asyncio.to_thread`."""
    assert url is not None
    with urllib.request.urlopen(url, timeout=timeout) as reply:
        assert reply.headers["Content-Type"].startswith("text/plain")
        return parse(reply.read().decode())


async def scraped(exporter: PrometheusExporter) -> Scrape:
    """The same in an event loop, which goes on turning."""
    return await asyncio.to_thread(scrape, exporter.url)
