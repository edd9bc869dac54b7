"""Does one holder of 20 s get in the way of 20 jobs of 50 ms? Capacity 2, two processes.

One slot is left to the jobs, which need a second in it. They come when the long holder has held
for 15 s, longer than the usual lease of 10 s: whoever forgets the holder by then lets three in.
All contenders run at once: they only sleep. Task queues get the long job and the others in
one go, on one worker with concurrency 2.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks import server
from benchmarks.figure import Figure
from benchmarks.peers import tools, ways
from benchmarks.peers.crew import Member, Wanted, guarding, hired
from benchmarks.peers.peer import Peer, present
from benchmarks.peers.queues import working
from loco_redis._server import EmbeddedServer

SLOTS, JOBS = 2, 20
LONG, LATER, JOB, LEASE = 20.0, 15.0, 0.05, 10.0
SEMAPHORES = ways.SEMAPHORES
#: Seconds more than the long job takes, after which it is given up.
PATIENCE = 15.0
#: rq is left out: a worker of it does one job at a time.
QUEUES = (tools.LOCO, tools.SAQ, tools.ARQ, tools.TASKIQ, tools.CELERY, tools.BULLMQ)
_LEASED = (ways.LOCO, ways.PUBSUB)

#: When something began and ended.
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Course:
    """When the jobs were asked for, when the long one and each of them ran, how many were done once
    more, and whether the long one never came to its end."""

    asked: float
    long: Span
    jobs: list[Span]
    again: int = 0
    lost: bool = False

    @property
    def took(self) -> float:
        return max(end for _, end in self.jobs) - self.asked

    @property
    def inside(self) -> int:
        return most_at_once([self.long, *self.jobs])


def run(
    process: EmbeddedServer,
    *,
    scale: float = 1.0,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """A row for each: seconds until the 20 jobs were done, a second being the least.

    Args:
        scale: of all times.
    """
    able = present(SEMAPHORES + QUEUES) if peers is None else tuple(peers)
    wanted = {_key(peer): w for peer in able for w in _wanted(peer, process.url, scale)}
    with server.connected(process), hired(wanted) as crews, ThreadPoolExecutor(len(able)) as pool:

        def course(peer: Peer) -> Course:
            both = crews[_key(peer)].members
            return _as_queue(*both, scale) if peer in QUEUES else _as_semaphore(*both, scale)

        found = pool.map(course, able)
        return [_row(peer, one, scale) for peer, one in zip(able, found, strict=True)]


def _as_queue(submitter: Member, worker: Member, scale: float) -> Course:
    # The long one first; each job has a length of its own, by which its mark is known.
    for jobs in ([LONG * scale], [JOB * scale + number / 1e6 for number in range(JOBS)]):
        submitter.begin(do="submit", jobs=jobs)
        submitter.answer()
    length = LONG * scale
    worker.begin(do="serve", count=JOBS + 1, longest=length, patience=length + PATIENCE)
    return queued(worker.answer(), length)


def _as_semaphore(first: Member, second: Member, scale: float) -> Course:
    first.begin(do="hold", task="long", tell=True, body=LONG * scale)
    held = first.answer()
    time.sleep(max(0.0, held + LATER * scale - time.monotonic()))
    second.begin(do="hold", task="short", times=JOBS, body=JOB * scale)
    asked = time.monotonic()
    jobs = [(begin, end) for begin, end in second.answer()]
    [(begin, end)] = first.answer()
    return Course(asked, (begin, end), jobs)


def most_at_once(spans: Sequence[Span]) -> int:
    """The greatest number of spans that have a moment in common; those that touch have none."""
    steps = sorted([(end, -1) for _, end in spans] + [(begin, 1) for begin, _ in spans])
    inside = most = 0
    for _, step in steps:
        inside += step
        most = max(most, inside)
    return most


def queued(marks: Sequence[tuple[float, float]], length: float) -> Course:
    """What became of jobs with different lengths, from what they noted when they ended. They count
    from when the one of `length` began, and what is done again does not count. If that one was
    lost, they count from the first that began."""
    ends = dict(reversed(marks))  # the first of each
    jobs = [(end - seconds, end) for seconds, end in ends.items() if seconds != length]
    lost = length not in ends
    begin = min(jobs)[0] if lost else ends[length] - length
    end = begin if lost else ends[length]
    return Course(begin, (begin, end), jobs, again=len(marks) - len(ends), lost=lost)


def _key(peer: Peer) -> str:
    return peer.place


def _wanted(peer: Peer, url: str, scale: float) -> Iterator[Wanted]:
    if peer in QUEUES:
        yield working(peer, url, f"long_queue_{QUEUES.index(peer)}", SLOTS)
        return
    options = {"lease": max(0.2, LEASE * scale)} if peer in _LEASED else {}
    yield guarding(peer, 2, url, f"long_slots_{SEMAPHORES.index(peer)}", SLOTS, JOBS, **options)


def _row(peer: Peer, course: Course, scale: float) -> Figure:
    kind = "as a task queue" if peer in QUEUES else "as a semaphore"
    broken = f", more than the capacity of {SLOTS}" if course.inside > SLOTS else ""
    if course.again:
        broken += f"; {course.again} of the jobs done twice"
    if course.lost:
        broken += "; the long job never came to its end"
    return Figure(
        f"{JOBS} jobs of {JOB * scale * 1000:g} ms beside a holder of {LONG * scale:g} s, capacity "
        f"{SLOTS}, {kind}: {peer.name}",
        course.took,
        "s",
        None,
        f"the least is {JOBS * JOB * scale:g} s; at most {course.inside} at once{broken}; "
        f"{peer.note}",
        {"peer": peer.name, "kind": kind, "seconds": course.took, "inside": course.inside},
    )
