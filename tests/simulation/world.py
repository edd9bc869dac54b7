"""One run of a plan: processes, their network and the server on one virtual clock."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from loco_redis import _session
from loco_redis.testing.model_state import LATER, QUEUED
from tests.simulation.beats import SimulatedHeartbeat
from tests.simulation.callers import CALLS, Caller
from tests.simulation.clock import BEGIN, Clock, patched
from tests.simulation.faults import FAULT
from tests.simulation.oracle import Oracle
from tests.simulation.plan import AGENTS, Event, Plan
from tests.simulation.process import Process
from tests.simulation.server import Server
from tests.simulation.verdict import Failure, Verdict
from tests.simulation.watch import SLACK

_PATIENCE = 60.0  # seconds after the last fault in which every caller must have its answer
_UNNOTICED = 25.0  # a half-open subscription is noticed after 20 s
_MOST_TURNS = 20_000  # without time passing
_MOST_TASKS = 200  # more than a plan can leave

_log = logging.getLogger("loco_redis")


class Result(NamedTuple):
    """What came of a run; `tried` are its faults by kind."""

    failure: Failure | None
    trace_hash: str
    steps: int
    tried: Counter[str]
    seen: Counter[str]


class World:
    """`run` it once."""

    def __init__(self, plan: Plan, trace: Callable[[str], None] | None = None) -> None:
        self.plan, self.trace = plan, trace
        self.clock = Clock()
        self.oracle = Oracle(self)
        self.server = Server(self.clock, self.oracle.stepped)
        self.processes: list[Process] = []
        self.callers: list[Caller] = []
        self.tried: Counter[str] = Counter()
        self.troubles: list[tuple[float, float]] = []  # of the server
        self.full: list[tuple[float, float]] = []
        self._at: dict[int, Process] = {}
        self._current: Process | None = None
        self._chance = self.chance("world")

    def chance(self, name: str) -> random.Random:
        """A source of chance of its own, so that one event less leaves the others as they were."""
        return random.Random(f"{self.plan.seed}:{name}")

    def process(self, who: int) -> Process:
        """The present incarnation of a process; a dead or closing one is started anew."""
        found = self._at.get(who)
        if found is None or not found.alive or found.closing:
            found = self._at[who] = Process(self, f"P{who}.{len(self.processes)}")
            self.processes.append(found)
        return found

    def running(self, who: int) -> Process | None:
        """The same, but only if there is one."""
        found = self._at.get(who)
        return found if found is not None and found.alive and not found.closing else None

    # Troubles of the server

    @property
    def trouble_ends(self) -> float:
        return max((end for _, end in self.troubles), default=0.0)

    def troubled(self, since: float) -> bool:
        return any(end >= since for _, end in self.troubles)

    @property
    def lately(self) -> float:
        """The moment since when troubles may still show in what has expired: a heartbeat may have
        been under way then, and the lease clock stood still in the server's outages."""
        since = self.clock.now - 1.5 * self.plan.lease - SLACK
        return since - sum(end - start for start, end in self.troubles if end >= since)

    def faltered(self, since: float) -> int:
        """How often the server has stood still. The lease clock skips an outage that is longer
        than half a lease; several short ones within a lease add up."""
        return sum(end >= since for _, end in self.troubles)

    def was_full(self, since: float) -> bool:
        return any(end >= since for _, end in self.full)

    # Running

    def run(self) -> Result:
        with patched(self.clock, self._present_chance), _seams(self.oracle.verdict):
            for event in self.plan.events:
                self.clock.at(BEGIN + event.at, self._begin, event)
            self._until(BEGIN + self.plan.length)
            for phase in (self._heal, self._wait_for_callers, self._finish, self._close):
                if self.oracle.failure is None:
                    phase()
            self._bury()
        for process in self.processes:
            self.tried += process.link.done
        oracle = self.oracle
        return Result(
            oracle.failure, oracle.verdict.trace_hash, oracle.watch.steps, self.tried, oracle.seen
        )

    def _present_chance(self) -> random.Random:
        return self._current.chance if self._current is not None else self._chance

    def _begin(self, event: Event) -> None:
        self.oracle.tell(f"-- {event}")
        if event.kind in CALLS:
            self.call(self.process(event.who), event)
        else:
            if event.kind != "close":
                self.tried[event.kind] += 1
            FAULT[event.kind](self, event)

    def call(self, process: Process, event: Event) -> Caller:
        caller = Caller(self, process, event)
        self.callers.append(caller)
        caller.start()
        return caller

    def _until(self, moment: float, done: Callable[[], Any] = lambda: False) -> bool:
        """Go on until `done()`, or until that moment; returns whether it is done."""
        turns, clock, oracle, processes = 0, self.clock, self.oracle, self.processes
        while oracle.failure is None and not done():
            when = clock.next
            for process in processes:
                when = min(when, process.loop.next)
            if when > moment:
                clock.advance(moment)
                return bool(done())
            turns = 0 if when > clock.now else turns + 1
            if turns > _MOST_TURNS:
                oracle.fail("endless loop", "callbacks go on and on in one moment")
            clock.advance(when)
            for process in [*processes]:
                if process.loop.next <= clock.now:
                    self._current = process
                    process.loop.turn()
            self._current = None
        return self.oracle.failure is None

    # The end of a run

    def _heal(self) -> None:
        """No fault any more; spells that have begun end by themselves."""
        ends = [self.trouble_ends, *(p.trouble_ends for p in self.processes if p.alive)]
        ends += [self.clock.now, *(end for _, end in self.full)]
        self._until(max(ends))
        for process in self.processes:
            process.link.heal()
        self.oracle.tell("-- healed")

    def _wait_for_callers(self) -> None:
        """Every caller of a living process gets a slot or its typed error."""
        healed = self.clock.now
        holds = sum(c.event.how.get("hold", 0.0) for c in self.callers if not c.done)
        bound = _PATIENCE + holds
        while self.clock.now < healed + bound and not self._all_returned():
            self._until(self.clock.now + 1.0, self._all_returned)
            if self.oracle.failure is not None:
                return
            self.oracle.check_reclaimed()
            if self.clock.now > healed + _UNNOTICED:
                self.oracle.check_orphans()
        if not self._all_returned():
            stuck = [caller for caller in self.callers if caller.process.alive and not caller.done]
            self.oracle.fail("never served", f"{stuck} after {bound:.1f} s")

    def _all_returned(self) -> bool:
        return all(c.done or not c.process.alive for c in self.callers)

    def _finish(self) -> None:
        """A new process outlives all sessions but its own, and serves what tasks are left."""
        if not self._until(self.clock.now + _UNNOTICED, self._nothing_asked):
            self.oracle.fail("never given back", f"{sorted(self.server.state.requests)}")
        keeper = self.process(99)
        self._serve(keeper, AGENTS[0])
        bound = self.plan.lease * 1.5 + 1.0
        if not self._until(self.clock.now + bound, self._only_living):
            self.oracle.check_reclaimed()
            self.oracle.fail("not reclaimed", f"sessions {sorted(self.server.state.sessions)}")
        for _ in range(_MOST_TASKS):
            queued = [t for t in self.server.state.tasks.values() if t.state in (QUEUED, LATER)]
            if not queued or self.oracle.failure is not None:
                return
            # Delays are by the server's clock, which may have been set back by an hour.
            late = max(min(task.due - self.server.now for task in queued) / 1e6, 0.0)
            self.server.offset += max(late - 2.0, 0.0)
            self._serve(keeper, queued[0].agent.decode(), "serve")
        self.oracle.fail("tasks without end", f"{queued}")

    def _serve(self, keeper: Process, agent: str, kind: str = "acquire") -> None:
        wish = {"weight": None, "timeout": None, "cancel": None, "settle": None, "form": "with"}
        how = {"agent": agent, "hold": 0.0, "fails": False, **wish}
        if kind == "serve":
            how["timeout"] = 5.0  # its deadline may pass before anybody can serve it
        caller = self.call(keeper, Event(self.clock.now - BEGIN, kind, 99, how))
        if not self._until(self.clock.now + _PATIENCE, lambda: caller.done):
            self.oracle.fail("never served", f"{caller}")

    def _nothing_asked(self) -> bool:
        """Only what the dead have left."""
        ours = {process.session_id for process in self.processes if process.alive}
        return not any(request.session in ours for request in self.server.state.requests.values())

    def _only_living(self) -> bool:
        ours = {p.scheduler.session_id for p in self.processes if p.alive and not p.closing}
        return self.server.state.sessions.keys() <= ours

    def _close(self) -> None:
        living = [process for process in self.processes if process.alive]
        for process in living:
            if not process.closing:
                process.close()
        if not self._until(self.clock.now + 20.0, lambda: all(p.closed for p in living)):
            self.oracle.fail("does not close", f"{[p for p in living if not p.closed]}")
        self._until(self.clock.now + 1.0)
        for process in living:
            for left in process.leftovers():
                self.oracle.fail("left behind", f"{process.name}: {left}")
        if self.oracle.failure is None:
            self.oracle.check_at_rest()

    def _bury(self) -> None:
        """Whatever still runs is brought to an end, unwatched."""
        self.oracle.verdict.watches = False
        self.oracle.verdict.failure, failure = None, self.oracle.failure
        left = [process for process in self.processes if not process.closed]
        for process in left:
            process.bury()
        self._until(self.clock.now + _PATIENCE, lambda: all(p.closed for p in left))
        for _ in range(3):
            for process in self.processes:
                process.cancel_all()
            self._until(self.clock.now + 1.0, lambda: all(p.is_buried for p in self.processes))
        self.oracle.verdict.failure = failure


class _Bugs(logging.Handler):
    """What the client logs as an error is one."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(logging.ERROR)
        self._verdict = verdict

    def emit(self, record: logging.LogRecord) -> None:
        self._verdict.fail("logged error", self.format(record))


@contextmanager
def _seams(verdict: Verdict) -> Iterator[None]:
    """The heartbeat is simulated, and the log is watched."""
    handler = _Bugs(verdict)
    level, propagate = _log.level, _log.propagate
    _log.addHandler(handler)
    _log.setLevel(logging.ERROR)
    _log.propagate = False
    try:
        with mock.patch.object(_session, "Heartbeat", SimulatedHeartbeat):
            yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)
        _log.propagate = propagate


def run(plan: Plan, trace: Callable[[str], None] | None = None) -> Result:
    """Run a plan in a world of its own."""
    return World(plan, trace).run()
