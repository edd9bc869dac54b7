"""The questions that `loco-redis doctor` asks a server, and a resource."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

from redis.crc import key_slot

from loco_redis._endpoint import Endpoint
from loco_redis._keys import SUFFIXES, Keys
from loco_redis._scripts import VERBS, Scripts, library
from loco_redis._url import describe
from loco_redis.cli.look import _rights_check as rights
from loco_redis.errors import (
    BackendError,
    BackendLibraryError,
    BackendPermissionError,
    BackendUnavailableError,
    BackendVersionError,
)
from loco_redis.observe import Link, Observer, condition, diagnosis
from loco_redis.observe.diagnosis import Finding, Unknown, note, ok, unknown, wrong
from loco_redis.testing.dump import HASHES, parse

_PINGS = 20
_ROUGHLY = 16_000_000  # bytes of bodies that one script may read unasked
_OVERWRITTEN = "look again; has something else written to these keys?"
_UNCOUNTED = ("slots", "alerts", "events")  # bounded by the configuration


def ask(link: Link, *args: Any) -> Any:
    """The reply, or an Unknown that names the right. Raises BackendUnavailableError."""
    try:
        return link.call(*args)
    except BackendPermissionError as error:
        return Unknown(f"needs the right {rights.lacking(str(args[0]), error.detail)}")
    except BackendUnavailableError:
        raise
    except BackendError as error:
        return Unknown(error.detail)


def owner(link: Link, name: str) -> Link | None:
    """In a cluster: a connection to the node that has the resource; else None."""
    where = link.endpoint.location
    if where.kind != "cluster":
        return None
    slot = key_slot(Keys(name).vars)
    for (first, last), nodes in link.call("CLUSTER SLOTS").items():
        if first <= slot <= last:
            host, port = nodes["primary"]
            node = (host or where.nodes[0][0], int(port))
            location = dataclasses.replace(where, kind="single", nodes=(node,))
            return Link(Endpoint(describe(location), location, scripts=link.endpoint.scripts))
    raise BackendUnavailableError(link.where, f"no node of the cluster has slot {slot}")


def server(link: Link, name: str, of_cluster: bool = False) -> Iterator[Finding]:
    """One server; `name`: a resource whose keys this user should reach; `of_cluster`: a node that
    was found by asking the cluster.

    Raises:
        BackendUnavailableError: it has gone.
    """
    yield _latency(link)
    info = ask(link, "INFO")
    policy = _setting(link, "maxmemory-policy")
    yield from diagnosis.server(info, policy, _setting(link, "appendfsync"))
    if not of_cluster and not isinstance(info, Unknown) and info.get("cluster_enabled"):
        text = "this is one node of a cluster: resources of other nodes are out of reach"
        yield wrong("cluster", text, "use redis+cluster://")
    yield _clock(link)
    yield _functions(link, name) if link.endpoint.scripts == "functions" else _scripts(link, name)
    yield from rights.findings(rights.look(link, name))
    yield rights.subscription(link, name)


def _scripts(link: Link, name: str) -> Finding:
    scripts = Scripts(name)
    loaded = ask(link, "SCRIPT EXISTS", *(scripts.sha(verb) for verb in VERBS))
    is_told = not isinstance(loaded, Unknown)
    return diagnosis.scripts(loaded) if is_told else unknown("scripts", loaded)


def _functions(link: Link, name: str) -> Finding:
    """By calling one: seldom may this user list them."""
    scripts = Scripts(name, "functions")
    try:
        link.run(scripts, scripts.rights(commands=""))
    except BackendLibraryError as error:
        advice = "an administrator runs: loco-redis functions load"
        return wrong("functions", f"{error.library} is not loaded: nothing works", advice)
    except BackendPermissionError as error:
        lacks = rights.lacking(error.command, error.detail)
        return unknown("functions", Unknown(f"needs the right {lacks}"))
    except BackendVersionError as error:
        return wrong("functions", str(error), "upgrade, or leave LOCO_REDIS_SCRIPTS unset")
    return ok("functions", f"{library().name} is loaded")


def _latency(link: Link) -> Finding:
    took = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        if isinstance(said := ask(link, "PING"), Unknown):
            return unknown("latency", said)
        took.append(time.perf_counter() - began)
    return diagnosis.latency(took)


def _setting(link: Link, name: str) -> str | Unknown:
    said = ask(link, "CONFIG GET", name)
    if isinstance(said, Unknown):
        return said
    return str(said[name]) if name in said else Unknown(f"the server does not tell its {name}")


def _clock(link: Link) -> Finding:
    began = time.time()
    said = ask(link, "TIME")
    if isinstance(said, Unknown):
        return unknown("clock", said)
    here = (began + time.time()) / 2
    return diagnosis.clock(here - (int(said[0]) + int(said[1]) / 1e6))


def resource(link: Link, name: str, deep: bool) -> Iterator[Finding]:
    """One resource, and all its rows if they are few or `deep`."""
    yield from _guarded("reading", link, _resource(link, name, deep))


def _guarded(check: str, link: Link, findings: Iterator[Finding]) -> Iterator[Finding]:
    """What the rows of a resource make fail is itself a finding."""
    try:
        yield from findings
    except BackendPermissionError as error:
        right = rights.lacking(error.command, error.detail)
        yield note(check, f"unknown: needs the right {right}")
    except BackendError as error:
        yield wrong(check, str(error), _OVERWRITTEN)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        yield wrong(check, f"unreadable: {error!r}", _OVERWRITTEN)


def _resource(link: Link, name: str, deep: bool) -> Iterator[Finding]:
    keys = Keys(name)
    schema, counters = link.call("HMGET", keys.vars, "schema", "counters")
    counts = _counts(link, keys)
    if schema is None or counters is None:
        text = "nothing is stored under this name any more, but it is in the list of resources"
        yield note("registry", text, f"loco-redis purge -n {name}")
        yield from condition.leftovers(counts)
        return
    yield (checked := condition.schema(schema))
    if checked.state == "wrong":
        return
    observer = Observer(link, name)
    now = observer.snapshot()
    yield condition.work(now)
    yield condition.sessions(now, observer.sessions(now))
    yield condition.dead_tasks(now)
    yield condition.lease_clock(now, counters)
    count = sum(counts.values()) + now.events
    if not deep and (count > condition.MOST_ROWS or _is_heavy(link, keys, counts)):
        text = f"not looked at: {count:,} rows would be read by one script"
        yield note("rows", text, "--deep looks; the server stands still meanwhile")
        return
    yield from _guarded("rows", link, _rows(link, name, count))


def _rows(link: Link, name: str, count: int) -> Iterator[Finding]:
    scripts = Scripts(name, link.endpoint.scripts)
    raw = link.run(scripts, scripts.dump())
    yield from condition.rows(parse(raw), count)


def _counts(link: Link, keys: Keys) -> dict[str, int]:
    counts = {}
    for suffix, key in zip(SUFFIXES, keys.all, strict=True):
        if suffix in _UNCOUNTED:
            continue
        try:
            counts[suffix] = int(link.call("HLEN" if suffix in HASHES else "ZCARD", key))
        except BackendError as error:
            if "WRONGTYPE" not in error.detail:
                raise
            raise ValueError(f"{suffix} is no {'hash' if suffix in HASHES else 'zset'}") from error
    return counts


def _is_heavy(link: Link, keys: Keys, counts: dict[str, int]) -> bool:
    """Bodies may have a megabyte each."""
    if not counts["bodies"]:
        return False
    said = ask(link, "MEMORY USAGE", keys.bodies)
    return counts["bodies"] > 20 if isinstance(said, Unknown) else (said or 0) > _ROUGHLY


def is_gone(link: Link, name: str) -> bool:
    """Nothing is stored of it; unknown is not gone."""
    stored = ask(link, "HGET", Keys(name).vars, "schema")
    return stored is None


def placed(node: Link, name: str) -> Finding:
    return ok("cluster", f"slot {key_slot(Keys(name).vars)}, on {node.where}")
