"""How each peer guards a slot, and what it does not do.

A way is an async context manager `way(url, name, slots, tasks, **options)`: the semaphore `name`
with `slots` slots, used by `tasks` tasks of this process. It gives a `Slot`: from a task's number
(or name) to what that task enters around its body.
"""

from __future__ import annotations

from benchmarks.peers.peer import Peer

_WAYS = "benchmarks.peers.ways"

LOCO = Peer(
    "loco-redis",
    f"{_WAYS}.loco:ours",
    "loco-redis",
    "leases, fencing tokens, order by L(i), accounts",
)
SELF_LIMITERS = Peer(
    "self-limiters, as in its README",
    f"{_WAYS}.self_limiters:as_in_readme",
    "self-limiters",
    "no lease: a dead holder's slot comes back 30 s after the last use of the semaphore, by "
    "anybody; no token, no order but FIFO, no account; a blocked connection per waiter",
)
SELF_LIMITERS_KEPT = Peer(
    "self-limiters, one object kept",
    f"{_WAYS}.self_limiters:kept",
    "self-limiters",
    "no lease, token or account, as above; the object has 15 connections, so further waiters of a "
    "process wait there for one, not in Redis' order",
)
BLPOP = Peer(
    "a bare BLPOP token list",
    f"{_WAYS}.blpop:pooled",
    "redis",
    "no lease: a dead holder's slot is lost for ever; no token, no order but FIFO, no account; a "
    "blocked connection per waiter",
)
BLPOP_PATIENT = Peer(
    "a BLPOP token list without redis-py's time limit",
    BLPOP.place,
    "redis",
    BLPOP.lacks,
    options={"patient": True},
)
PUBSUB = Peer(
    "a sorted-set semaphore with pub/sub",
    f"{_WAYS}.pubsub:semaphore",
    "redis",
    "leases are not renewed: a holder beyond its lease shares the slot unknown to it; no order: "
    "a release wakes all waiters, one wins; no token, no account",
)
LOCK = Peer(
    "redis-py Lock",
    f"{_WAYS}.redis_lock:lock",
    "redis",
    "one slot only; waiters poll every 0.1 s; no order; its lease is not renewed; no token to "
    "fence by, no account",
)
LIMITS = Peer(
    "limits, sliding window",
    f"{_WAYS}.rates:limits",
    "limits",
    "no slots: it counts calls begun in a time and does not know when one ends; refuses, never "
    "queues",
    "redis7",
)
THROTTLED = Peer(
    "throttled-py, token bucket",
    f"{_WAYS}.rates:throttled",
    "throttled-py",
    "no slots: it counts calls begun in a time and does not know when one ends; no order: "
    "waiters try again",
    "redis7",
)
LITELLM = Peer(
    "LiteLLM scheduler with Redis",
    f"{_WAYS}.litellm:scheduler",
    "litellm",
    "no slots: it only orders requests, by priority, while no deployment is healthy; each polls "
    "every 3 ms; the queue is read and written as a whole, so two processes lose entries",
    "redis7",
)
IN_MEMORY = Peer(
    "in-memory loco-agent",
    f"{_WAYS}.loco_agent:in_memory",
    "loco-agent",
    "one process only, nothing survives it; no leases; each grant scores all waiting agents",
)

#: Those that guard `slots` slots, in several processes, for as long as it takes.
SEMAPHORES = (LOCO, SELF_LIMITERS, SELF_LIMITERS_KEPT, BLPOP_PATIENT, PUBSUB)
