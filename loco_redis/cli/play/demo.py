"""`loco-redis demo`: three processes, three slots, one SIGKILL; the loop that directs it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial

import click

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._heartbeat import BEATS_A_LEASE
from loco_redis.cli._console import make_console
from loco_redis.cli._errors import Broken
from loco_redis.cli._options import between, json_option, redis_option
from loco_redis.cli.play import _demo_view as view
from loco_redis.cli.play._demo_story import Kill, Story
from loco_redis.cli.play._running import Stage, perform
from loco_redis.cli.play._screen import Screen, screen_for
from loco_redis.cli.play._workers import Message, Worker, direct, start_all, tell_all
from loco_redis.snapshots import Holder, Snapshot

WORKERS = 3
CAPACITY = 3
LEASE = 2.0
RECLAIM_BOUND = LEASE + LEASE / BEATS_A_LEASE + 1.0

# Of the demo's length. From the second on, a victim that holds a single slot will do.
_KILL_AT, _KILL_ANY_AT, _STOP_AT = 0.4, 0.5, 0.85
_GRACE = 20.0  # seconds after which work that is not done counts as lost
_REFRESH = 0.05


@click.command("demo")
@redis_option("default: an embedded server of its own")
@click.option(
    "--seconds",
    type=float,
    callback=between(5, 3600),
    default=20.0,
    show_default=True,
    help="About how long it takes, from 5.",
)
@json_option
def command(redis: str | None, seconds: float, as_json: bool) -> None:
    """Show three worker processes sharing three slots while one of them is killed.

    Five agents contend. The work of webhook, chat and analyst is bound to its request and dies
    with its process; the tasks of embed and batch are durable, so any process serves them. One
    worker is killed with SIGKILL while it serves a durable task: its slots come back when its lease
    of 2 seconds runs out, and others serve its tasks. The summary says whether every promise held.

    Exit status: 0 all held, 1 one did not, 2 no Redis.

    Example:  loco-redis demo --seconds 10
    """
    console = make_console()
    screen = screen_for(console, as_json)
    story, took = perform(
        redis or "embedded://", "demo", partial(_demo, seconds=seconds, screen=screen)
    )
    if as_json:
        click.echo(json.dumps(view.summary_json(story, took)))
    else:
        console.print(view.summary(story, took))
    if failures := view.failures(story):
        raise Broken(f"a promise did not hold: {'; '.join(failures)}")


async def _demo(stage: Stage, seconds: float, screen: Screen) -> tuple[Story, float]:
    resource = SharedResource(stage.name, capacity=CAPACITY)
    async with AsyncLOCOScheduler(
        [], resource, redis=stage.url, optimize_for="balanced", lease_ttl=LEASE, backend_timeout=5.0
    ) as scheduler:
        workers = await start_all(WORKERS, "loco_redis.cli.play._demo_worker", stage.url)
        director = _Director(scheduler, workers, screen, seconds)
        with screen:
            await direct(workers, director.hear, director.run(stage.name))
        return director.story, time.monotonic() - director.story.started


class _Director:
    """Lets the workers go, kills one, stops them, and watches Redis all the time."""

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler,
        workers: Sequence[Worker],
        screen: Screen,
        seconds: float,
    ) -> None:
        self._scheduler, self._workers = scheduler, workers
        self._screen, self._seconds = screen, seconds
        pids = {worker.pid: worker.name for worker in workers}
        self.story = Story(time.monotonic(), CAPACITY, RECLAIM_BOUND, pids)

    def hear(self, worker: Worker, message: Message) -> None:
        if decision := self.story.hear(worker.name, message):
            self._screen.decided(decision, self.story)

    async def run(self, name: str) -> None:
        for worker in self._workers:
            await worker.tell({"name": name, "number": worker.number})
        await tell_all(self._workers, "go")
        self.story.started = time.monotonic()
        is_stopped = False
        while True:
            snapshot = await self._look()
            elapsed = time.monotonic() - self.story.started
            if elapsed >= _KILL_AT * self._seconds and not (self.story.kill or is_stopped):
                await self._try_to_kill(
                    snapshot, 1 if elapsed >= _KILL_ANY_AT * self._seconds else 2
                )
            elif elapsed >= _STOP_AT * self._seconds and not is_stopped:
                is_stopped = True
                await tell_all(self._workers, "stop")
            if (is_stopped and self.story.at_rest()) or elapsed >= self._seconds + _GRACE:
                return
            await asyncio.sleep(_REFRESH)

    async def _look(self) -> Snapshot:
        snapshot = await self._scheduler.snapshot()
        was_reclaimed = self.story.reclaimed_at is not None
        self.story.see(snapshot, time.monotonic())
        if self.story.reclaimed_at is not None and not was_reclaimed:
            self._screen.note(view.reclaim_line(self.story))
        self._screen.show(self.story, snapshot, self._seconds)
        return snapshot

    async def _try_to_kill(self, snapshot: Snapshot, least: int) -> None:
        """Kill a worker that holds at least so many slots, one of them for a durable task."""
        victim = max(self._workers, key=lambda w: _worth(_held_by(w, snapshot)))
        if _worth(_held_by(victim, snapshot)) < least:
            return
        # Stopped, it can give nothing back between our look and the kill.
        victim.pause()
        held = await self._held_at_last(victim)
        if _worth(held) < least:
            victim.resume()
            return
        at = time.monotonic()
        victim.kill()
        await victim.silent.wait()
        kill = Kill(at, victim.name, held[0].session, held)
        self.story.saw_kill(kill)
        self._screen.note(view.kill_line(kill, self.story))

    async def _held_at_last(self, worker: Worker) -> tuple[Holder, ...]:
        """What it holds once that changes no more: a last command may have been on its way."""
        held: tuple[Holder, ...] | None = None
        while True:
            seen = _held_by(worker, await self._scheduler.snapshot())
            if held is not None and _tokens(held) == _tokens(seen):
                return seen
            held = seen
            await asyncio.sleep(_REFRESH)


def _held_by(worker: Worker, snapshot: Snapshot) -> tuple[Holder, ...]:
    sessions = {session.session for session in snapshot.sessions if session.pid == worker.pid}
    return tuple(holder for holder in snapshot.holders if holder.session in sessions)


def _worth(held: tuple[Holder, ...]) -> int:
    """How much there is to see when their worker dies: 0 unless one serves a durable task."""
    return len(held) if any(holder.task_id for holder in held) else 0


def _tokens(held: tuple[Holder, ...]) -> set[int]:
    return {holder.token for holder in held}
