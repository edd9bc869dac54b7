"""How each task queue takes and serves jobs, and what it does not do.

A tool is an async context manager `tool(url, name, concurrency)` of a `Tool` (tool.py). All are
told to keep no results, because loco-redis keeps none.
"""

from __future__ import annotations

from benchmarks.peers.peer import Peer

_TOOLS = "benchmarks.peers.tools"

LOCO = Peer(
    "loco-redis",
    f"{_TOOLS}.loco:durable",
    "loco-redis",
    "durable tasks with leases, order by L(i); no results, no cron, no idle worker that is woken "
    "by a submission",
)
SAQ = Peer(
    "saq",
    f"{_TOOLS}.saq:queue",
    "saq",
    "FIFO, no order among agents; no capacity over the fleet, only per worker; a dead worker's job "
    "is swept, by default every 60 s",
    "redis7",
)
ARQ = Peer(
    "arq",
    f"{_TOOLS}.arq:queue",
    "arq",
    "workers poll; no order among agents; no capacity over the fleet; a dead worker's job is tried "
    "again after its timeout (300 s)",
    "redis5",
)
TASKIQ = Peer(
    "taskiq, Redis streams",
    f"{_TOOLS}.taskiq:stream",
    "taskiq-redis",
    "FIFO, no order among agents; no capacity over the fleet; a dead worker's job is claimed after "
    "10 minutes",
)
RQ = Peer(
    "rq, SimpleWorker",
    f"{_TOOLS}.rq:queue",
    "rq",
    "one job at a time in a worker; FIFO, no order among agents; no async jobs; SimpleWorker does "
    "not isolate jobs as its default does by a fork for each",
)
CELERY = Peer(
    "Celery with Redis",
    f"{_TOOLS}.celery:queue",
    "celery",
    "FIFO, no order among agents; no capacity over the fleet; no async jobs; a job is acknowledged "
    "before it runs, so a dead worker's is lost",
)
BULLMQ = Peer(
    "bullmq (Python)",
    f"{_TOOLS}.bullmq:queue",
    "bullmq",
    "FIFO or priorities, no order among agents (groups need its paid edition); a dead worker's job "
    "is seen as stalled after 30 s",
)
TOOLS = (LOCO, SAQ, ARQ, TASKIQ, RQ, CELERY, BULLMQ)
