"""What is checked after each test on every scheduler that the test left on its server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loco_redis._keys import SUFFIXES
from loco_redis._scripts import Scripts
from loco_redis.testing import invariants
from loco_redis.testing.dump import parse

if TYPE_CHECKING:
    from tests.servers import Server


def schedulers_are_sound(server: Server) -> None:
    """The invariants hold, and no scheduler has a key beside those of the key-space document."""
    names = set()
    for key in server.client.keys("loco:*"):
        text = key if isinstance(key, str) else key.decode()
        if re.match(r"loco:(plans$|\{(plan|router|context):)", text):
            continue  # of orchestration: no scheduler's
        found = re.fullmatch(r"loco:\{([\w-]+)\}:(?:([\w-]+):)?(\w+)", text)
        assert found, f"{key!r} is no key of a scheduler"
        group, own, suffix = found.groups()
        if suffix == "line" and own is None:
            continue  # of a group's pools
        assert suffix in SUFFIXES, f"{key!r} is not in lua/README.md"
        names.add(group if own is None else f"{group}/{own}")
    for name in sorted(names):
        scripts = Scripts(name)
        keys = scripts.keys.all
        reply = server.client.eval(scripts.source("dump"), len(keys), *keys, *scripts.dump().args)
        invariants.check(parse(reply))
