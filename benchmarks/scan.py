"""What does the index save? The same server time against a plain Lua scan of all agents.

The scan is as lean as it can be and stay correct: one hash `agent -> tick and Q` packed into one
number (reading two numbers by string.match made it twice as slow), one counter of ticks; no lease,
no token, no session, no repeat recognised, no accounts, no order among equals.
"""

from __future__ import annotations

import random
from statistics import median
from typing import Any

import redis

from benchmarks import server
from benchmarks.choice import ALPHAS, usec_per_turn
from benchmarks.crowd import Arrival, Crowd
from benchmarks.figure import Figure, Must, spread
from loco_redis._server import EmbeddedServer

# The packed number: tick * 1e8 + Q in thousandths; both are exact in a double.
_SCALE = 100_000_000

_ACQUIRE = """
local agent, weight = ARGV[1], tonumber(ARGV[2])
local entry = redis.call('HGET', KEYS[1], agent)
if entry then
  return redis.call('HINCRBY', KEYS[1], agent, weight)
end
local tick = redis.call('GET', KEYS[2]) or 0
return redis.call('HSET', KEYS[1], agent, string.format('%.0f', tick * 100000000 + weight))
"""

_RELEASE = """
local tick, alpha = redis.call('INCR', KEYS[2]), tonumber(ARGV[1])
local all = redis.call('HGETALL', KEYS[1])
local depths, ages, max_q, max_d, n = {}, {}, 0, 0, #all / 2
for i = 1, n do
  local entry = all[2 * i] + 0
  local q = entry % 100000000
  local d = tick - (entry - q) / 100000000
  depths[i], ages[i] = q, d
  if q > max_q then max_q = q end
  if d > max_d then max_d = d end
end
local a, b, best, winner = alpha / max_q, max_d > 0 and (1 - alpha) / max_d or 0, -1, nil
for i = 1, n do
  local score = a * depths[i] + b * ages[i]
  if score > best then best, winner = score, i end
end
local agent = all[2 * winner - 1]
redis.call('HDEL', KEYS[1], agent)
return agent
"""


class Scan:
    """The peer: `turn` serves the agent with the largest L(i), which then asks again."""

    def __init__(self, client: redis.Redis, agents: int) -> None:
        self._client, self._rng = client, random.Random(7)
        self._acquire = client.script_load(_ACQUIRE)
        self._release = client.script_load(_RELEASE)
        self.alpha = 0.25
        weights = (1000, 2000, 3000, 5000)
        entries: dict[Any, Any] = {
            b"agent%06d" % number: number * _SCALE + self._rng.choice(weights)
            for number in range(agents)
        }
        client.hset("scan:agents", mapping=entries)
        client.set("scan:tick", agents)

    def turn(self) -> bytes:
        keys = ("scan:agents", "scan:tick")
        agent = self._client.evalsha(self._release, 2, *keys, self.alpha)
        weight = self._rng.choice((1000, 2000, 3000, 5000))
        self._client.evalsha(self._acquire, 2, *keys, agent, weight)
        return bytes(agent)


def run(
    process: EmbeddedServer, *, agents: int = 10_000, slices: int = 9, turns: int = 60
) -> list[Figure]:
    """One row: how many times faster, at the least favourable alpha."""
    with (
        server.running() as apart,  # a scan leaves garbage in Lua, for the next script to collect
        server.connected(process) as our_client,
        server.connected(apart) as scan_client,
    ):
        crowd = Crowd(our_client, "crowd", agents, Arrival("random", burst=False))
        scan = Scan(scan_client, agents)
        cases = []
        for alpha in ALPHAS:
            crowd.set_alpha(alpha)
            scan.alpha = alpha
            usec_per_turn(our_client, crowd, turns)
            pairs = [
                (usec_per_turn(scan_client, scan, turns), usec_per_turn(our_client, crowd, turns))
                for _ in range(slices)
            ]
            cases.append((median(theirs / ours for theirs, ours in pairs), alpha, pairs))
    ratio, alpha, pairs = min(cases)
    theirs, ours = zip(*pairs, strict=True)
    return [
        Figure(
            f"faster than a plain Lua scan, {agents:,} waiting agents: worst alpha",
            ratio,
            "x",
            Must(20, at_least=True),
            f"alpha {alpha:g}: scan {median(theirs):.0f} us ({spread([*theirs])}), "
            f"ours {median(ours):.0f} us ({spread([*ours])})",
        )
    ]
