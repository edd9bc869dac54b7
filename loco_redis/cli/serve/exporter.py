"""`loco-redis exporter`: the fleet's figures for Prometheus."""

from __future__ import annotations

import logging
import select

import click

from loco_redis.cli._ending import until_told
from loco_redis.cli._errors import Refused
from loco_redis.cli._options import Duration, between, name_option, redis_option
from loco_redis.cli._target import make_link
from loco_redis.metrics.prometheus import PrometheusExporter
from loco_redis.metrics.sources import Source
from loco_redis.metrics.workers import WorkerTarget
from loco_redis.observe import Observer

DEFAULT_PORT = 9464


@click.command("exporter")
@redis_option()
@name_option("Only this resource; default: all of the server.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Where to serve; 0 for any free port.",
)
@click.option(
    "--addr",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="On which address; 0.0.0.0 for all of this host. There is no password.",
)
@click.option(
    "--max-agents",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Most agents, teams, models that a metric tells one by one.",
)
@click.option(
    "--timeout",
    type=float,
    callback=between(0.1, 600),
    default=5.0,
    show_default=True,
    help="Seconds that a scrape may take.",
)
@click.option(
    "--slo",
    type=Duration(),
    callback=between(0.001, 2_592_000),
    default="30s",
    show_default=True,
    envvar="LOCO_REDIS_WORKER_SLO",
    show_envvar=True,
    help="loco_redis_desired_workers: in what time workers should work off what is queued.",
)
@click.option(
    "--worker-concurrency",
    type=click.IntRange(1, 10_000),
    default=8,
    show_default=True,
    envvar="LOCO_REDIS_WORKER_CONCURRENCY",
    show_envvar=True,
    help="The same: tasks that one worker does at once.",
)
@click.option(
    "--count-requests",
    is_flag=True,
    help="The same: count waiting requests, too; for workers that call acquire themselves.",
)
def command(
    redis: str | None,
    name: str | None,
    port: int,
    addr: str,
    max_agents: int,
    timeout: float,
    slo: float,
    worker_concurrency: int,
    count_requests: bool,
) -> None:
    """Serve metrics for Prometheus, of one resource or of all in a Redis, also of later ones.

    Redis is read when it is scraped. While it is away, loco_redis_up is 0 and this command goes on.
    The first line of stdout is the URL to scrape. It ends by Ctrl-C or SIGTERM.

    Example:  loco-redis exporter -u redis://10.0.0.5 --port 9464 --addr 0.0.0.0
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    link = make_link(redis)
    source: Source = link if name is None else Observer(link, name)
    with until_told() as told:
        try:
            workers = WorkerTarget(slo, worker_concurrency, count_requests)
            exporter = PrometheusExporter(
                source, max_agents=max_agents, timeout=timeout, workers=workers
            )
            exporter.start(port, addr)
        except ModuleNotFoundError as error:
            raise Refused(str(error)) from None
        except OSError as error:
            raise Refused(f"{addr} port {port}: {error.strerror}: give another --port") from None
        with exporter:
            what = f"resource {name}" if name else "all resources"
            click.echo(exporter.url)
            click.echo(f"serves {what} at {link.where}, until Ctrl-C", err=True)
            select.select([told], [], [])
