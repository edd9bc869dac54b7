"""The reading commands against a cluster."""

from __future__ import annotations

from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.clusters import cluster_url as cluster_url  # a fixture


def test_each_reads_a_cluster(cluster_url: str) -> None:
    """The same as of a single server."""
    with Fleet(cluster_url, "llm_api", 1, events=100) as fleet:
        fleet.hold("webhook")
        fleet.wait("batch")
        for command, expected in (
            ("status", "1 of 1 held"),
            ("agents", "batch"),
            ("waiters", "batch"),
            ("sessions", str(fleet.waiter.session_id)),
            ("tasks", "no such durable task"),
            ("dead", "no dead task"),
            ("why batch", "batch waits: the only slot is held; it is next."),
            ("events", "slot 0, score 0.25"),
        ):
            result = invoke(*command.split(), "-u", cluster_url)
            assert result.exit_code == 0, result.output
            assert expected in result.output
