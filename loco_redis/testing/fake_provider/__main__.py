"""A fake provider as a process: its URL is the first line of stdout; SIGTERM ends it.

    python -m loco_redis.testing.fake_provider [--port 0] [--latency 0.02]

`GET /stats` tells what it saw as JSON.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from loco_redis.testing.fake_provider import FakeProvider


def main() -> None:
    parser = argparse.ArgumentParser(prog="fake_provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer")
    given = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with FakeProvider(given.port, given.latency) as provider:
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        over.wait()


if __name__ == "__main__":
    main()
