"""What happened in a demo: told by the workers and by Redis, judged at the end. Does no I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from loco_redis.cli.play import _oracle
from loco_redis.cli.play._oracle import Held
from loco_redis.cli.play._stats import AgentFigures, Percentiles
from loco_redis.cli.play._workers import Message
from loco_redis.snapshots import Holder, Snapshot


@dataclass(frozen=True, slots=True)
class Decision:
    """A slot given to a request, as its worker told it; `start` is of the monotonic clock."""

    worker: str
    request: int
    agent: str
    slot: int
    token: int
    weight: float
    waited: float  # seconds; of a durable task since it was submitted
    ticks: int
    score: float
    task: str | None
    label: str | None
    attempt: int
    start: float


@dataclass(frozen=True, slots=True)
class Kill:
    """The SIGKILL: when, of whom, and the slots it held at that moment."""

    at: float
    worker: str
    session: str
    held: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, whether it held, and the figures."""

    held: bool
    promise: str
    figures: str


@dataclass
class Story:
    """Everything heard and seen. Times are seconds of the machine's monotonic clock.

    Attributes:
        started: when the workers were let go.
        reclaim_bound: seconds within which a dead worker's slots must be free.
        pids: the workers' names by process id.
        names: the labels of the durable tasks by their ids.
        dead: the slots of the killed worker by their tokens. Until its lease runs out its waiting
            requests still get slots, for Redis cannot know that it is dead.
    """

    started: float
    capacity: int
    reclaim_bound: float
    pids: dict[int, str]
    decisions: list[Decision] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    submitted: set[str] = field(default_factory=set)
    completed: Counter[str] = field(default_factory=Counter)
    idle: set[str] = field(default_factory=set)
    kill: Kill | None = None
    dead: dict[int, Holder] = field(default_factory=dict)
    reclaimed_at: float | None = None
    last: Snapshot | None = None
    _cost: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _asked: Counter[str] = field(default_factory=Counter)
    _open: dict[int, Decision] = field(default_factory=dict)
    _held: list[Held] = field(default_factory=list)

    def hear(self, worker: str, message: Message) -> Decision | None:
        """Take in what a worker says; returns the decision it tells, if any."""
        match message.pop("event"):
            case "asked":
                self._asked[worker] += 1
            case "submitted":
                self.submitted.add(message["task"])
                self.names[message["task"]] = message["label"]
            case "granted":
                decision = Decision(worker, **message)
                self.decisions.append(decision)
                self._open[decision.token] = decision
                if decision.task:
                    self.submitted.add(decision.task)
                    self.names[decision.task] = decision.label or decision.task
                return decision
            case "released":
                self._close(message["token"], message["end"], message["cost"])
            case "idle":
                self.idle.add(worker)
        return None

    def see(self, snapshot: Snapshot, now: float) -> None:
        """Take in what Redis says; notices when the dead worker's slots are free."""
        self.last = snapshot
        if self.kill is None or self.reclaimed_at is not None:
            return
        dead = [holder for holder in snapshot.holders if self.is_dead(holder)]
        self.dead.update((holder.token, holder) for holder in dead)
        if not dead:
            self.reclaimed_at = now

    def saw_kill(self, kill: Kill) -> None:
        """Close what the dead worker can no longer tell of."""
        self.kill = kill
        self.dead = {holder.token: holder for holder in kill.held}
        for token, decision in list(self._open.items()):
            if decision.worker != kill.worker:
                continue
            if token in self.dead:
                del self._open[token]
                self._held.append(Held(decision.slot, token, decision.start, kill.at))
            else:
                # It had given the slot back, and was killed before it could say when.
                self._close(token, decision.start, 0.0)

    def is_dead(self, holder: Holder) -> bool:
        """Whether a slot is held by nobody any more, until its lease runs out."""
        return self.kill is not None and holder.session == self.kill.session

    def reclaim_time(self) -> float | None:
        """Seconds from the kill until the slots were free; None as long as they are not."""
        if self.kill is None or self.reclaimed_at is None:
            return None
        return self.reclaimed_at - self.kill.at

    def repeats(self) -> list[Decision]:
        """The durable tasks that were served again."""
        return [d for d in self.decisions if d.task and d.attempt > 1]

    def _served_twice(self) -> set[str]:
        """Durable tasks that more than one live worker began, which no death explains."""
        dead = self.kill.worker if self.kill else ""
        begun = Counter(d.task for d in self.decisions if d.task and d.worker != dead)
        return {task for task, times in begun.items() if times > 1}

    def at_rest(self) -> bool:
        """Whether all live workers have stopped asking and Redis has nothing left."""
        live = len(self.pids) - (1 if self.kill else 0)
        idle = self.idle - ({self.kill.worker} if self.kill else set())
        return len(idle) == live and not self._open and not self._left()

    def figures(self) -> list[AgentFigures]:
        """Of each agent, by name."""
        by_agent: defaultdict[str, list[Decision]] = defaultdict(list)
        for decision in self.decisions:
            by_agent[decision.agent].append(decision)
        return [
            AgentFigures(
                agent,
                len(own),
                self._cost[agent],
                Percentiles.of([d.waited for d in own]),
                Percentiles.of([d.ticks for d in own]),
            )
            for agent, own in sorted(by_agent.items())
        ]

    def findings(self) -> list[Finding]:
        """The promises of the demo, in the order of the summary."""
        return [self._capacity(), self._order(), self._reclaimed(), self._durable(), self._lost()]

    def _close(self, token: int, end: float, cost: float) -> None:
        decision = self._open.pop(token, None)
        if decision is None:
            return
        self._held.append(Held(decision.slot, token, decision.start, end))
        self._cost[decision.agent] += cost
        if decision.task:
            self.completed[decision.task] += 1

    def _left(self) -> int:
        """Slots held, requests waiting and tasks queued or dead in Redis."""
        if (s := self.last) is None:
            return 0
        return len(s.holders) + len(s.waiters) + sum(a.queued for a in s.agents) + s.dead_tasks

    def _capacity(self) -> Finding:
        peak = self.last.peak if self.last else 0
        seen = _oracle.most_at_once(self._held)
        return Finding(
            max(peak, seen) <= self.capacity,
            "never more holders than slots",
            f"{self.capacity} slots, most held at once: Redis {peak}, workers {seen}",
        )

    def _order(self) -> Finding:
        found = _oracle.violations(self._held)
        return Finding(
            not found,
            "one holder per slot, tokens rising",
            found[0] if found else f"{len(self._held)} holds checked, slot by slot",
        )

    def _reclaimed(self) -> Finding:
        promise = "slots of the killed worker came back"
        if self.kill is None:
            return Finding(False, promise, "no worker was seen serving a durable task, none killed")
        took = self.reclaim_time()
        if took is None:
            return Finding(False, promise, f"not within {self.reclaim_bound:.1f} s")
        figures = f"{len(self.dead)} after {took:.2f} s, bound {self.reclaim_bound:.2f} s"
        return Finding(took <= self.reclaim_bound, promise, figures)

    def _durable(self) -> Finding:
        interrupted = {holder.task_id for holder in self.dead.values() if holder.task_id}
        again = {decision.task for decision in self.repeats()}
        done_once = all(self.completed[task] == 1 for task in self.submitted)
        return Finding(
            done_once and interrupted <= again and not self._served_twice(),
            "every durable task completed once",
            f"{len(self.submitted)} submitted, {len(self.completed)} completed, "
            f"{len(again)} by a second attempt",
        )

    def _lost(self) -> Finding:
        dead = self.kill.worker if self.kill else ""
        asked = sum(count for worker, count in self._asked.items() if worker != dead)
        served = sum(1 for decision in self.decisions if decision.worker != dead)
        left = self._left()
        return Finding(
            asked == served and not left and not self._open,
            "nothing lost, nothing left behind",
            f"{served} of {asked} requests of live workers served, {left} left",
        )
