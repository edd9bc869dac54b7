"""What changing commands have in common: the resource they change, a scheduler for one call, and
the question before it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._console import make_console, shown
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli._rights import demand
from loco_redis.cli._target import open_target
from loco_redis.errors import (
    AgentBusyError,
    ConfigConflictError,
    LocoRedisError,
    TaskAliveError,
    TaskRunningError,
    UnknownRequestError,
    UnknownTaskError,
    UnknownTenantError,
)
from loco_redis.governance._rules import govern
from loco_redis.models import SharedResource
from loco_redis.observe import Observer
from loco_redis.scheduler import AsyncLOCOScheduler

S = TypeVar("S")
T = TypeVar("T")

# Redis has just answered: who waits longer than this wants to know.
_PATIENCE = 10.0  # seconds

#: What is so in Redis, rather than asked for wrongly.
_FOUND_WRONG = (
    AgentBusyError,
    ConfigConflictError,
    TaskAliveError,
    TaskRunningError,
    UnknownRequestError,
    UnknownTaskError,
    UnknownTenantError,
)


@contextlib.contextmanager
def existing(redis: str | None, name: str | None) -> Iterator[Observer]:
    """`open_target` for a resource that is there: a typo must never make one.

    Raises:
        Refused: which one is not clear.
        UnknownResourceError: nothing is stored under that name.
        BackendPermissionError: names the right that this user lacks.
    """
    with open_target(redis, name) as observer:
        observer.snapshot()
        yield observer


def act(
    command: str,
    observer: Observer,
    do: Callable[[AsyncLOCOScheduler], Awaitable[T]],
    **options: Any,
) -> T:
    """Run `do` with an open scheduler of the resource: it adopts what is stored. Rules that are set
    by it stay when it closes.

    Args:
        command: as in `_rights.RIGHTS`: the user must have all of these.
        options: of the scheduler.

    Raises:
        Refused: ValueErrors, for bad arguments.
        Broken: it cannot be done as things are, such as a ConfigConflictError.
        click.exceptions.Exit: 130 after Ctrl-C.
        BackendPermissionError: a right is missing; nothing was done.
        LocoRedisError: anything else.
    """
    return act_by(AsyncLOCOScheduler, command, observer, do, **options)


def act_by(
    make: Callable[..., AbstractAsyncContextManager[S]],
    command: str,
    observer: Observer,
    do: Callable[[S], Awaitable[T]],
    **options: Any,
) -> T:
    """`act` with another kind of scheduler."""

    async def run() -> T:
        resource, url = SharedResource(observer.name), observer.link.endpoint.url
        scheduler = make(resource=resource, redis=url, backend_timeout=_PATIENCE, **options)
        async with scheduler as opened:
            return await do(opened)

    demand(observer, command)
    try:
        with _quiet():
            return asyncio.run(run())
    except _FOUND_WRONG as error:
        raise Broken(str(error)) from error
    except LocoRedisError:
        raise
    except ValueError as error:
        raise Refused(str(error)) from error
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        raise click.exceptions.Exit(130) from None


def set_rules(command: str, observer: Observer, changes: Mapping[bytes, bytes]) -> None:
    """Set rules of governance for the whole fleet; an empty value removes. Raises as `act` does."""

    async def send(scheduler: AsyncLOCOScheduler) -> None:
        await govern(await scheduler._use(), changes)

    act(command, observer, send)


def checked(make: Callable[[], T]) -> T:
    """What `make` gives, before anything is sent or asked; its warnings are told in a line each.

    Raises:
        Refused: ValueErrors, for bad arguments.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            made = make()
        except ValueError as error:
            raise Refused(str(error)) from error
    for warning in caught:
        click.echo(shown(f"warning: {warning.message}"), err=True)
    return made


def confirm(what: RenderableType, yes: bool) -> None:
    """Say what will be done, and ask unless `yes`.

    Raises:
        Refused: there is nobody to ask.
        Broken: the answer is no.
    """
    if not (yes or sys.stdin.isatty()):
        raise Refused("this asks before it acts, and there is no terminal: give --yes")
    make_console().print(what)
    if yes:
        return
    try:
        agreed = click.confirm("Go on?")
    except click.Abort:
        click.echo()
        agreed = False
    if not agreed:
        raise Broken("nothing was done")


def say(text: str | Text) -> None:
    """One line about what was done."""
    make_console().print(text if isinstance(text, Text) else Text(text))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The scheduler's log stays off the terminal, unless somebody has asked for it: what matters of
    it here is raised. Its warnings have been told."""
    log, handler = logging.getLogger("loco_redis"), logging.NullHandler()
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.removeHandler(handler)
