"""Where figures come from: which resources are meant, and reading them within a time limit."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from loco_redis import _validate as validate
from loco_redis._endpoint import Endpoint
from loco_redis._open import open_schedulers
from loco_redis.blocking import LOCOScheduler
from loco_redis.errors import BackendUnavailableError, LocoRedisError, UnknownResourceError
from loco_redis.metrics.catalogue import Points
from loco_redis.metrics.points import joined, process_points, resource_points, unread_points
from loco_redis.metrics.process import process_figures
from loco_redis.metrics.reading import read
from loco_redis.metrics.workers import DesiredWorkers, WorkerTarget
from loco_redis.observe.link import Link
from loco_redis.observe.observer import Observer
from loco_redis.observe.registry import resource_names
from loco_redis.scheduler import AsyncLOCOScheduler

#: A scheduler or an observer: its resource; a link: all resources of its server.
Source = AsyncLOCOScheduler | LOCOScheduler | Observer | Link

_LONGEST_CALL = 2.0  # seconds for one reply, less where the time limit is short
_NOBODY = ""  # the resource of an `up` 0 where no name is known

_log = logging.getLogger("loco_redis")


class Target(NamedTuple):
    """One resource; or all of a server, where `name` is None."""

    endpoint: Endpoint
    name: str | None


class Sources:
    """Reads all that is meant, and what this process has measured of it.

    Args:
        given: None for the schedulers that are open in this process, also those opened later.
        max_agents: names of a kind that are told one by one.
        timeout: seconds that a reading may take.
        fleet: whether to read Redis; else only this process' own figures.
        workers: what desired workers are computed for.

    Raises:
        ValueError: any of them out of range, or of another type.
    """

    def __init__(
        self,
        given: Source | Iterable[Source] | None,
        *,
        max_agents: int,
        timeout: float,
        fleet: bool,
        workers: WorkerTarget | None = None,
    ) -> None:
        self._given = _listed(given)
        self._limit = validate.count("max_agents", max_agents, 1, 100_000)
        self._timeout = validate.seconds("timeout", timeout, 0.1, 600)
        self._fleet = fleet
        self._workers = DesiredWorkers(workers or WorkerTarget())
        self._names: dict[Endpoint, list[str]] = {}  # last seen in a server
        self._failing: set[str] = set()  # resources and servers that were complained of

    def points(self) -> Points:
        """Whatever becomes of Redis: what cannot be read has `up` 0. Opens connections of its own
        and closes them, so several threads may call it at once."""
        targets = self._targets()
        parts = [*self._read_all(targets)] if self._fleet else []
        names = {target.name for target in targets}
        for name, figures in process_figures().items():
            if self._given is None or None in names or name in names:
                parts.append(process_points(name, figures))
        return joined(parts)

    def _targets(self) -> list[Target]:
        """Each resource once."""
        sources = open_schedulers.all() if self._given is None else self._given
        found: dict[str, Target] = {}
        for target in map(_target, sources):
            first = found.setdefault(target.name or target.endpoint.url, target)
            if first.endpoint.url != target.endpoint.url:
                text = f"{target.name!r} is in two servers, only one of them is read"
                self._complain(f"{target.name} twice", text)
        return [*found.values()]

    def _read_all(self, targets: list[Target]) -> Iterator[Points]:
        deadline = time.monotonic() + self._timeout
        by_server: dict[Endpoint, list[str | None]] = {}
        for target in targets:
            by_server.setdefault(target.endpoint, []).append(target.name)
        for endpoint, names in by_server.items():
            with _TimedLink(endpoint, deadline, self._timeout) as link:
                yield from self._read_server(endpoint, link, names)

    def _read_server(
        self, endpoint: Endpoint, link: Link, asked: list[str | None]
    ) -> Iterator[Points]:
        named = {name for name in asked if name is not None}
        is_down = False
        try:
            if None in asked:
                self._names[endpoint] = resource_names(link)
                self._failing.discard(endpoint.url)
        except (LocoRedisError, ValueError) as error:
            self._complain(endpoint.url, str(error))
            is_down = True
        found = self._names.get(endpoint) or ([_NOBODY] if is_down else [])
        for name in sorted({*named, *found}):
            try:
                if is_down:
                    yield unread_points(name)
                else:
                    reading = read(Observer(link, name), self._limit)
                    yield resource_points(reading, self._limit, self._workers.of(reading))
                    self._failing.discard(name)
            except UnknownResourceError:
                if name in named:  # else it is an entry of the registry that outlived it
                    yield unread_points(name)
            except BackendUnavailableError as error:
                self._complain(name, str(error))
                is_down = True
                yield unread_points(name)
            except Exception as error:  # noqa: BLE001  one that cannot be read must not hide others
                self._complain(name, f"{name!r} cannot be read: {error!r}")
                yield unread_points(name)

    def _complain(self, what: str, text: str) -> None:
        """Once, until it could be read again."""
        if what not in self._failing:
            self._failing.add(what)
            _log.warning("metrics: %s", text)


class _TimedLink(Link):
    """Begins nothing that might end after the deadline."""

    def __init__(self, endpoint: Endpoint, deadline: float, timeout: float) -> None:
        self._longest = min(_LONGEST_CALL, timeout / 4)
        self._last_start = deadline - self._longest
        super().__init__(_hurried(endpoint, self._longest))

    def _attempt(self, name: str, *args: Any) -> Any:
        if time.monotonic() > self._last_start:
            raise BackendUnavailableError(self.where, "reading took longer than the time limit")
        return super()._attempt(name, *args)


def _hurried(endpoint: Endpoint, seconds: float) -> Endpoint:
    """The same with sockets that wait no longer."""
    where = endpoint.location

    def limited(options: Any) -> dict[str, Any]:
        names = ("socket_timeout", "socket_connect_timeout")
        return {**options, **{name: min(options.get(name) or seconds, seconds) for name in names}}

    hurried = replace(
        where,
        options=limited(where.options),
        sentinel_options=limited(where.sentinel_options),
    )
    return replace(endpoint, location=hurried)


def _listed(given: Source | Iterable[Source] | None) -> list[Source] | None:
    if given is None:
        return None
    sources = [given] if isinstance(given, Source) else [*given]
    for source in sources:
        if not isinstance(source, Source):
            raise ValueError(
                "metrics are of schedulers, or of an Observer or Link of loco_redis.observe, "
                f"got {validate.shown(source)}"
            )
    return sources


def _target(source: Source) -> Target:
    if isinstance(source, Link):
        return Target(source.endpoint, None)
    if isinstance(source, Observer):
        return Target(source.link.endpoint, source.name)
    core = source._core if isinstance(source, LOCOScheduler) else source
    session = core._session
    # An embedded server has an address only while it runs.
    return Target(core._endpoint if session is None else session.endpoint, core.name)
