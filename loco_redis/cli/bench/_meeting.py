"""Where the parts of a run meet: a few keys in Redis, looked at twice a second by everybody.

The conductor (`bench run`) writes the plan and a *word*: what is to be done now. Each host writes
a *beat*: that it is alive, what it is doing, how far it has come. Nobody waits for a message, so a
host that was cut off finds its way back by itself.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import redis

from loco_redis._endpoint import SyncClient
from loco_redis.cli.bench._figures import BenchPlan

#: Seconds between looks.
BEAT = 0.5
#: Seconds after which the keys of a run that nobody cares for any more are gone.
_KEPT = 3600


@dataclass(frozen=True, slots=True)
class Word:
    """What the conductor says.

    Attributes:
        run: from 1; 0 before the first.
        resource: whose slots the run is about.
        hosts: who takes part, in order.
        start: the server's time at which the run starts, in seconds; None: get ready.
        over: the benchmark is over; why, if it was broken off.
    """

    run: int = 0
    resource: str = ""
    hosts: tuple[str, ...] = ()
    start: float | None = None
    over: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a host says: `number` rises with each beat.

    Attributes:
        phase: "joined", "ready", "running", "done" with `run`, or "failed" with `problem`.
        grants, holding, waiting: until now, and now, of all its workers.
        notes: lines to be shown, all of this run.
    """

    name: str
    number: int = 0
    phase: str = "joined"
    run: int = 0
    grants: int = 0
    holding: int = 0
    waiting: int = 0
    problem: str = ""
    version: str = ""
    notes: tuple[str, ...] = field(default=())


def at(client: SyncClient, key: bytes | str) -> dict[str, Any]:
    """To be given to a command without a key, so that the node of a cluster that has it answers."""
    if isinstance(client, redis.RedisCluster):
        return {"target_nodes": client.get_node_from_key(key)}
    return {}


class Meeting:
    """The keys of one run. All methods block for a round trip and raise what redis-py raises."""

    def __init__(self, client: SyncClient, run_id: str) -> None:
        self._client = cast("redis.Redis", client)
        prefix = f"loco:{{bench-{run_id}}}:"
        self._plan, self._trace, self._word, self._hosts, self._results = (
            prefix + suffix for suffix in ("plan", "trace", "word", "hosts", "results")
        )

    def begin(self, plan: BenchPlan, trace: list[Any] | None) -> bool:
        """Write the plan for all to see; False if there is one of this name already."""
        if not self._client.set(self._plan, _packed(asdict(plan)), ex=_KEPT, nx=True):
            return False
        if trace is not None:
            self._client.set(self._trace, zlib.compress(_packed(trace)), ex=_KEPT)
        return True

    def plan(self) -> BenchPlan | None:
        """The plan, or None while there is none."""
        found = cast("bytes | None", self._client.get(self._plan))
        return None if found is None else BenchPlan(**json.loads(found))

    def trace(self) -> list[Any] | None:
        found = cast("bytes | None", self._client.get(self._trace))
        return None if found is None else cast("list[Any]", json.loads(zlib.decompress(found)))

    def say(self, word: Word) -> None:
        self._client.set(self._word, _packed(asdict(word)), ex=_KEPT)

    def look(self) -> dict[str, Beat]:
        """All hosts' last beats, by name."""
        pipe = self._client.pipeline(transaction=False)
        pipe.hgetall(self._hosts)
        for key in (self._plan, self._trace, self._word, self._hosts, self._results):
            pipe.expire(key, _KEPT)
        beats = [_beat(value) for value in pipe.execute()[0].values()]
        return {beat.name: beat for beat in sorted(beats, key=lambda beat: beat.name)}

    def join(self, beat: Beat) -> bool:
        """A host's first beat; False if the name is taken."""
        return bool(self._client.hsetnx(self._hosts, beat.name, _packed(asdict(beat))))

    def beat(self, beat: Beat) -> Word | None:
        """Say how it is; hear the word. None: the run is gone."""
        pipe = self._client.pipeline(transaction=False)
        pipe.hset(self._hosts, beat.name, _packed(asdict(beat)))
        pipe.get(self._word)
        pipe.exists(self._plan)
        _, word, planned = pipe.execute()
        if not planned:
            self._client.hdel(self._hosts, beat.name)  # or this beat would outlive the run
            return None
        return Word() if word is None else _word(word)

    def leave(self, name: str) -> None:
        self._client.hdel(self._hosts, name)

    def time(self) -> tuple[int, int]:
        """The server's, in seconds and microseconds."""
        seconds, micros = self._client.time(**at(self._client, self._plan))
        return seconds, micros

    def hand_in(self, run: int, host: str, result: bytes) -> None:
        pipe = self._client.pipeline(transaction=False)
        pipe.hset(self._results, f"{run}|{host}", cast("str", result))
        pipe.expire(self._results, _KEPT)
        pipe.execute()

    def result(self, run: int, host: str) -> bytes | None:
        """What a host has handed in; taken away."""
        field_name = f"{run}|{host}"
        found = cast("bytes | None", self._client.hget(self._results, field_name))
        if found is not None:
            self._client.hdel(self._results, field_name)
        return found

    def end(self) -> None:
        """Remove all keys."""
        self._client.delete(self._plan, self._trace, self._word, self._hosts, self._results)


def _packed(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _beat(packed: bytes) -> Beat:
    values = json.loads(packed)
    return Beat(**{**values, "notes": tuple(values["notes"])})


def _word(packed: bytes) -> Word:
    values = json.loads(packed)
    return Word(**{**values, "hosts": tuple(values["hosts"])})
