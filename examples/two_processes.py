"""Two processes share one slot: what they hold never overlaps, and the tokens rise."""

import multiprocessing
import os
import time

from loco_redis import LOCOScheduler, SharedResource

RESOURCE = SharedResource("shared", capacity=1)


def work(agent: str) -> list[tuple[int, int]]:
    """Runs in a child, which finds the server of its parent."""
    held = []
    with LOCOScheduler(resource=RESOURCE) as scheduler:
        for _ in range(5):
            with scheduler.acquire(agent) as lease:
                held.append((lease.token, os.getpid()))
                time.sleep(0.02)
    return held


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with LOCOScheduler(resource=RESOURCE), context.Pool(2, maxtasksperchild=1) as pool:
        found = sorted(row for rows in pool.map(work, ["a", "b"], chunksize=1) for row in rows)
    print(f"{len(found)} grants in {len({pid for _, pid in found})} processes, in this order:")
    print(*(pid for _, pid in found))
