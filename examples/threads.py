"""Plain code in eight threads, at most three at once in the body."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from loco_redis import LOCOScheduler, SharedResource

inside, most, lock = 0, 0, threading.Lock()


def call(number: int) -> int:
    global inside, most
    with scheduler.acquire(f"thread-{number % 8}", timeout=10) as lease:
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return lease.slot


with LOCOScheduler(resource=SharedResource("threads", capacity=3)) as scheduler:
    with ThreadPoolExecutor(8) as pool:
        slots = set(pool.map(call, range(40)))
print(f"40 calls on slots {sorted(slots)}, at most {most} at once")
