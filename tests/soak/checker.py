"""The checker: a process that looks at the whole state every 50 ms.

    python -m tests.soak.checker URL NAME

It tells by lines of JSON on stdout what it saw, and what must not be; it ends with its stdin.
"""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loco_redis._scripts import Scripts
from loco_redis.testing.dump import parse
from tests.soak.record import Pulse
from tests.soak.watch import Watch

PERIOD = 0.05


def tell(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def dump(client: redis.Redis, scripts: Scripts) -> list[Any]:
    """By EVAL, so that the server's figures of EVALSHA are those of the workers alone."""
    keys = scripts.keys.all
    source = scripts.source("dump")
    reply: list[Any] = client.eval(source, len(keys), *keys, *scripts.dump().args)
    return reply


def main(url: str, name: str) -> None:
    scripts, watch = Scripts(name), Watch(tell)
    client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=10)
    tell(event="up")
    told = 0.0
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        asked = time.monotonic()
        due = max(due, asked - PERIOD) + PERIOD
        try:
            raw = dump(client, scripts)
        except redis.RedisError:
            continue  # away, busy, loading
        seen = time.monotonic()
        if seen - asked > Pulse.GAP:
            tell(event="slow", begin=asked, end=seen)
        watch.look(parse(raw), asked, seen)
        if seen - told > 1.0:
            told = seen
            tell(event="figures", at=seen, granted=watch.granted, dumps=watch.dumps)
    tell(event="end", granted=watch.granted, reclaimed=watch.reclaimed, dumps=watch.dumps)


if __name__ == "__main__":
    main(*sys.argv[1:])
