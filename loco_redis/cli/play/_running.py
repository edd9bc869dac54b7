"""What the commands have in common: their Redis, their end by a signal, their errors."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from loco_redis._connect import CONNECTION_ERRORS
from loco_redis._endpoint import Endpoint, resolve
from loco_redis._keys import REGISTRY, Keys
from loco_redis._shared_server import URL_VARIABLE
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli.play._workers import WorkerFailedError
from loco_redis.errors import BackendUnavailableError, LocoRedisError

T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """Where a run takes place: a Redis, and a resource of its own in it."""

    endpoint: Endpoint
    name: str

    @property
    def url(self) -> str:
        """For the scheduler and for workers; it may contain credentials."""
        return self.endpoint.url


def perform(redis: str | None, prefix: str, work: Callable[[Stage], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on a resource that nobody else has; its keys are gone afterwards.

    Args:
        redis: URL; None for LOCO_REDIS_URL, REDIS_URL, embedded.
        prefix: of the resource's name.

    Raises:
        Refused: no such Redis, or it does not do.
        Broken: a worker failed.
        click.exceptions.Exit: 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with _stage(redis, prefix) as stage:
            return until_signalled(work(stage))
    except WorkerFailedError as error:
        raise Broken(str(error)) from error
    except (LocoRedisError, ValueError) as error:
        raise Refused(str(error)) from error


@contextlib.contextmanager
def _stage(redis: str | None, prefix: str) -> Iterator[Stage]:
    with resolve(redis).attached() as endpoint:
        stage = Stage(endpoint, f"{prefix}-{secrets.token_hex(4)}")
        _knock(endpoint)
        try:
            yield stage
        finally:
            # A Redis that is out of reach now has made itself heard already.
            with contextlib.suppress(*CONNECTION_ERRORS), endpoint.sync_client() as client:
                client.delete(*Keys(stage.name).all)
                client.srem(REGISTRY, stage.name)


def _knock(endpoint: Endpoint) -> None:
    """Say at once that nobody is there: the scheduler would go on trying for a while."""
    try:
        with endpoint.sync_client() as client:
            client.ping()
    except CONNECTION_ERRORS as error:
        detail = f"{error} (give --redis, or set {URL_VARIABLE})"
        raise BackendUnavailableError(endpoint.redacted, detail) from error


def until_signalled(work: Coroutine[Any, Any, T]) -> T:
    """Run it; Ctrl-C and SIGTERM cancel it.

    Raises:
        click.exceptions.Exit: 130 after Ctrl-C, 143 after SIGTERM.
    """
    received: list[signal.Signals] = []
    try:
        return asyncio.run(_signalled(work, received))
    except asyncio.CancelledError:
        if not received:
            raise
        click.echo("interrupted: the workers have ended", err=True)
        raise click.exceptions.Exit(128 + received[0]) from None


async def _signalled(work: Coroutine[Any, Any, T], received: list[signal.Signals]) -> T:
    """`work`, cancelled by the first Ctrl-C or SIGTERM, but not while it cleans up after that."""
    task = asyncio.current_task()
    assert task is not None

    def on_signal(number: signal.Signals) -> None:
        if not received:
            task.cancel()
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    return await work
