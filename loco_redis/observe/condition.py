"""What `loco-redis doctor` finds in one resource: from its rows to findings, without I/O."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from loco_redis._scripts import SCHEMA
from loco_redis.observe.diagnosis import Finding, note, ok, span, wrong
from loco_redis.snapshots import SessionSnapshot, Snapshot
from loco_redis.testing import invariants
from loco_redis.testing.dump import Dump

#: More rows than these are read by one script only when asked for (`--deep`).
MOST_ROWS = 2000
_SHOWN_ROWS = 5
_LONGEST_ROW = 200
_STEPPED = 1_000_000  # microseconds by which a clock may differ

_AGAIN = "look again; if it stays, keep this output and tell the project"

# Number, what must hold, and who finds out.
_INVARIANTS: tuple[tuple[int, str, Callable[[Dump], Iterable[str]]], ...] = (
    (1, "leases, slots and capacity", invariants.leases_within_capacity),
    (2, "queues and their index", invariants.queues_agree),
    (3, "one state each", invariants.one_state_each),
    (4, "every request has a session", invariants.owners_live),
    (5, "tokens rise", invariants.tokens_rise),
    (6, "ages fit", invariants.ages_fit),
    (7, "money is counted once", invariants.charged_once),
    (8, "no slot is idle", invariants.no_slot_idle),
    (9, "grants are counted", invariants.grants_counted),
)


def schema(stored: bytes) -> Finding:
    told = stored.decode(errors="replace")
    if told == str(SCHEMA):
        return ok("schema", told)
    text = f"stored is {told}, this version of loco-redis has {SCHEMA}"
    return wrong("schema", text, "use the version that the fleet uses")


def work(now: Snapshot) -> Finding:
    """Slots and waiters; what stands still."""
    text = f"{now.held} of {now.capacity} slots held, {now.waiting} waiting"
    if now.serving:
        text += f", {now.serving} ready to serve any agent"
    if now.waiting + now.serving and not now.live_sessions:
        return wrong("work", f"{text}, but no session: nobody waits for these", _AGAIN)
    if now.paused:
        return note("work", f"{text}; paused: nothing is granted", "loco-redis resume")
    if now.capacity == 0:
        return note("work", f"{text}; capacity 0: nothing is granted", "config set capacity=N")
    if now.held > now.capacity:
        text += "; capacity was lowered: nothing is granted until it fits"
        return note("work", text, "nothing: wait for holders to finish")
    if now.effective_capacity < now.capacity:
        return note("work", f"{text}; held back to {now.effective_capacity} after a throttle")
    return ok("work", text)


def sessions(now: Snapshot, rows: Sequence[SessionSnapshot]) -> Finding:
    """Those that have not been heard of for a whole lease stay until somebody calls Redis."""
    stale = [row for row in rows if now.quiet > now.lease_ttl or row.expires_in <= 0]
    if not stale:
        return ok("sessions", f"{len(rows)} alive" if rows else "none")
    text = f"{len(stale)} of {len(rows)} are stale"
    if now.quiet > now.lease_ttl:
        text += f": nobody has been heard of for {span(now.quiet)}"
    advice = "the next scheduler that works ends them after a lease; or: loco-redis reap --wait"
    return note("sessions", text, advice)


def dead_tasks(now: Snapshot) -> Finding:
    if not now.dead_tasks:
        return ok("dead tasks", "none")
    text = (
        f"{now.dead_tasks} of {now.durable_tasks} durable tasks used up their attempts, or missed "
        "their deadlines"
    )
    return note("dead tasks", text, "loco-redis dead, then requeue or cancel them")


def lease_clock(now: Snapshot, counters: bytes) -> Finding:
    """It moves with the server's clock while scripts run, and skips gaps and steps."""
    fields = counters.split(b"|")
    fence, raw, vnow = int(fields[3]), int(fields[10]), int(fields[11])
    time, born = round(now.server_time * 1e6), round(now.born * 1e6)
    if raw > time + _STEPPED:
        text = f"the server's clock was set back by {span((raw - time) / 1e6)}"
        return note("lease clock", text, "nothing: leases go on, ages of rows may look wrong")
    if fence > time + _STEPPED:
        text = f"tokens are {span((fence - time) / 1e6)} ahead of the server's clock"
        return note("lease clock", text, "nothing: the clock was ahead once, tokens still rise")
    ran, age = span(vnow / 1e6), span(max(raw - born, 0) / 1e6)
    return ok("lease clock", f"ran {ran} of {age}: it skips idle times, outages and steps")


def rows(dump: Dump, count: int) -> list[Finding]:
    """The invariants of `lua/README.md` over all rows."""
    found = [
        wrong("rows", f"invariant {number} ({what}): {_listed(broken)}", _AGAIN)
        for number, what, rule in _INVARIANTS
        if (broken := _broken(rule, dump))
    ]
    return found or [ok("rows", f"{count:,} rows keep all {len(_INVARIANTS)} invariants")]


def _broken(rule: Callable[[Dump], Iterable[str]], dump: Dump) -> list[str]:
    try:
        return [*rule(dump)]
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        return [f"unreadable row: {error!r}"]


def _listed(broken: list[str]) -> str:
    """The short ones first: they name a row, the long ones are differences of whole lists."""
    shown = "; ".join(_cut(row) for row in sorted(broken, key=len)[:_SHOWN_ROWS])
    more = len(broken) - _SHOWN_ROWS
    return f"{shown}; and {more} more" if more > 0 else shown


def _cut(row: str) -> str:
    return row if len(row) <= _LONGEST_ROW else f"{row[:_LONGEST_ROW]}..."


def leftovers(counts: dict[str, int]) -> Iterator[Finding]:
    """Of a resource without a configuration."""
    if left := {suffix: count for suffix, count in counts.items() if count}:
        told = ", ".join(f"{count:,} in {suffix}" for suffix, count in left.items())
        yield wrong("rows", f"rows without a configuration: {told}", "loco-redis purge")
