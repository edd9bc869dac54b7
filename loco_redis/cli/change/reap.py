"""`loco-redis reap`: end expired sessions now."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
from rich.text import Text

from loco_redis._scripts import Scripts
from loco_redis.cli._acting import confirm, existing, say
from loco_redis.cli._console import seconds
from loco_redis.cli._options import resource_options, yes_option
from loco_redis.cli._rights import demand
from loco_redis.cli.change._units import counted
from loco_redis.observe import Observer

# The lease clock leaves out gaps of more than half a lease.
_LOOKS_A_LEASE = 4


def reap(observer: Observer) -> int:
    """One call, of as many parts as it takes; returns how many requests and sessions went. It needs
    no session of its own, whose opening would already reap, uncounted."""
    scripts, total = Scripts(observer.name, observer.link.endpoint.scripts), 0
    while True:
        reply = observer.link.run(scripts, scripts.reap())
        total += reply.reaped
        if not reply.more:
            return total


def reap_for(observer: Observer, lease: float) -> Iterator[int]:
    """What each of several calls over a whole lease ends: after it, whoever was silent is gone,
    also where no process was left to move the lease clock."""
    end = time.monotonic() + lease * (1 + 1 / _LOOKS_A_LEASE)
    while True:
        yield reap(observer)
        if time.monotonic() >= end:
            return
        time.sleep(lease / _LOOKS_A_LEASE)


@click.command("reap")
@click.option("--wait", is_flag=True, help="For a whole lease: finds all that died together, too.")
@resource_options
@yes_option
def command(redis: str | None, name: str | None, wait: bool, yes: bool) -> None:
    """End sessions whose lease is over. The next call of any process would do so, too: their slots
    go to who waits. The clock of leases stands still while no process runs: then give --wait.

    Example:  loco-redis reap --wait
    """
    with existing(redis, name) as observer:
        before = observer.snapshot()
        span = f" within {seconds(before.lease_ttl)}" if wait else ""
        sessions = counted(before.live_sessions, "session")
        what = f"end what has expired of {sessions} of {before.name}"
        confirm(Text(f"{what}{span}; who is alive stays"), yes)
        demand(observer, "reap")
        gone = sum(reap_for(observer, before.lease_ttl)) if wait else reap(observer)
        after = observer.snapshot()
        done = f"done: {gone:,} requests and sessions have ended" if gone else "nothing has expired"
        say(f"{done}; {counted(after.live_sessions, 'session')} live")
