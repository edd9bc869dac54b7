"""A process that serves agents; tells what it does, a JSON line each.

    python worker.py REDIS_URL echo|hang|hundredths

"echo" replies at once, "hang" never, "hundredths" after some; the reply says who gave it. SIGTERM
ends it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from loco_redis.orchestration.agents import AgentCall, AgentScheduler
from tests.orchestration.agents.configs import config


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main(url: str, mode: str) -> None:
    def handle(message: Any, call: AgentCall) -> dict[str, Any]:
        if mode == "hang":
            tell(began=message)
            time.sleep(3600)
        if mode == "hundredths":
            time.sleep(0.02)
        return {"message": message, "pid": os.getpid(), "attempt": call.attempt}

    scheduler = AgentScheduler(config(lanes=(2, 4)), handlers={"echo": handle}, redis=url)
    tell(pid=os.getpid())
    scheduler.run(grace=5)
    tell(stopped=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
