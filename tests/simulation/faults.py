"""What the faults of a plan do to a world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.plan import Event

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

_REOPENING = 2.0  # seconds in which what was broken is whole again
_HALF_OPEN = 25.0  # until it is noticed


def _to_process(
    what: Callable[[World, Process, Event], None],
) -> Callable[[World, Event], None]:
    def fault(world: World, event: Event) -> None:
        process = world.running(event.who)
        if process is not None:
            what(world, process, event)

    return fault


def _close(world: World, process: Process, event: Event) -> None:
    process.close()


def _kill(world: World, process: Process, event: Event) -> None:
    process.kill(event.how["after"])


def _freeze(world: World, process: Process, event: Event) -> None:
    process.freeze(event.how["seconds"], event.how["after"])


def _block(world: World, process: Process, event: Event) -> None:
    process.block(event.how["seconds"])


def _cut(world: World, process: Process, event: Event) -> None:
    for connection in process.link.of(event.how["link"]):
        connection.cut(event.how["drops"], event.how["linger"])
    process.inconvenience(_REOPENING)


def _cuts(world: World, process: Process, event: Event) -> None:
    def cut() -> None:
        for connection in process.link.of(event.how["link"]):
            connection.cut(drops=False, linger=0.0)

    for time in range(event.how["times"]):
        world.clock.after(0.03 * time, cut)
    process.inconvenience(_REOPENING + 1.0)


def _half_open(world: World, process: Process, event: Event) -> None:
    for connection in process.link.of(event.how["link"]):
        connection.half_open(event.how["deaf"])
    process.inconvenience(_HALF_OPEN)


def _partition(world: World, process: Process, event: Event) -> None:
    seconds, link = event.how["seconds"], process.link
    link.partitioned = True
    link.healed = world.clock.now + seconds if event.how["heals"] else 0.0
    process.trouble(seconds)
    process.inconvenience(seconds + _HALF_OPEN)

    def end() -> None:
        link.partitioned = False

    world.clock.after(seconds, end)


def _repeat(world: World, process: Process, event: Event) -> None:
    process.link.repeats += event.how["times"]


def _lose_hints(world: World, process: Process, event: Event) -> None:
    link = process.link
    link.mute = True

    def end() -> None:
        link.mute = False

    world.clock.after(event.how["seconds"], end)


def _delay_hints(world: World, process: Process, event: Event) -> None:
    link = process.link
    link.tardy = event.how["by"]

    def end() -> None:
        link.tardy = 0.0

    world.clock.after(event.how["seconds"], end)


def _slow(world: World, process: Process, event: Event) -> None:
    link = process.link
    link.slow = event.how["by"]

    def end() -> None:
        link.slow = 0.0

    world.clock.after(event.how["seconds"], end)


def _lose_beat(world: World, process: Process, event: Event) -> None:
    process.link.beats.append(event.how["part"])
    process.lost_beats += 1
    if process.lost_beats > 1:  # one alone does no harm
        process.trouble(world.plan.lease)

    def forget() -> None:
        process.lost_beats -= 1

    world.clock.after(2 * world.plan.lease, forget)


def _flush_all(world: World, event: Event) -> None:
    world.server.flush()


def _flush_scripts(world: World, event: Event) -> None:
    world.server.flush_scripts()


def _clock_step(world: World, event: Event) -> None:
    world.server.offset += event.how["by"]


def _restart(world: World, event: Event) -> None:
    world.server.up = False
    for process in world.processes:
        for connection in process.link.of("both"):
            connection.cut(event.how["drops"], linger=0.0)
    if event.how["empty"]:
        world.server.flush()
    world.server.flush_scripts()

    def end() -> None:
        world.server.up = True

    world.clock.after(event.how["seconds"], end)
    world.troubles.append((world.clock.now, world.clock.now + event.how["seconds"]))


def _later(world: World, event: Event) -> None:
    world.server.later = event.how["error"]

    def end() -> None:
        world.server.later = None

    world.clock.after(event.how["seconds"], end)
    world.troubles.append((world.clock.now, world.clock.now + event.how["seconds"]))


def _full(world: World, event: Event) -> None:
    world.server.full = True

    def end() -> None:
        world.server.full = False

    world.clock.after(event.how["seconds"], end)
    world.full.append((world.clock.now, world.clock.now + event.how["seconds"]))


#: By the kind of the event.
FAULT: dict[str, Callable[[World, Event], None]] = {
    "close": _to_process(_close),
    "kill": _to_process(_kill),
    "freeze": _to_process(_freeze),
    "block": _to_process(_block),
    "cut": _to_process(_cut),
    "cuts": _to_process(_cuts),
    "half_open": _to_process(_half_open),
    "partition": _to_process(_partition),
    "repeat": _to_process(_repeat),
    "lose_hints": _to_process(_lose_hints),
    "delay_hints": _to_process(_delay_hints),
    "slow": _to_process(_slow),
    "lose_beat": _to_process(_lose_beat),
    "flush_all": _flush_all,
    "flush_scripts": _flush_scripts,
    "clock_step": _clock_step,
    "restart": _restart,
    "later": _later,
    "full": _full,
}
