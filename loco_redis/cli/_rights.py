"""Which Redis commands each command needs of an ACL user besides `~loco:*` and `&loco:*`, and which
one is missing."""

from __future__ import annotations

from collections.abc import Mapping

from loco_redis._rights import WORKER, named, under
from loco_redis._scripts import Scripts
from loco_redis.errors import BackendPermissionError
from loco_redis.observe import Observer

# Scripts; what they call counts, too.
_RUN = ("EVALSHA", "EVAL")
_SNAPSHOT = (*_RUN, "HLEN", "HMGET", "TIME", "ZCARD")
_AGENT = (*_RUN, "HGET", "HMGET", "HVALS", "TIME", "ZRANGE", "ZREVRANGE")
_STANDING = (*_RUN, "HGET", "HMGET", "TIME")
_CHECK = (*_RUN, "HEXISTS", "HGET", "HMGET", "TIME")
# Any script that writes may end sessions, grant, account and note events. `rights` tries DEL and
# LPUSH by the help of EXISTS on servers before 7.0.
_WRITE = (
    *(
        "BITPOS",
        "DEL",
        "EXISTS",
        "HDEL",
        "HEXISTS",
        "HGET",
        "HINCRBY",
        "HMGET",
        "HSET",
        "LPUSH",
        "LTRIM",
    ),
    *("PUBLISH", "SETBIT", "TIME", "XADD", "ZADD", "ZRANGE", "ZRANGEBYLEX", "ZREM"),
    *("ZREMRANGEBYLEX", "ZREMRANGEBYRANK", "ZREVRANGE", "ZREVRANGEBYLEX"),
)
# A scheduler for one call: it opens a session, acts and closes it.
_ACT = WORKER
_SCAN = (*_SNAPSHOT, "HSCAN")  # rows in pages
_PROCESSES = (*_SCAN, "HGET")  # with the processes behind them

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "resources": (*_SNAPSHOT, "SMEMBERS"),
    "status": (*_PROCESSES, *_AGENT),
    "top": _PROCESSES,
    "agents": _SCAN,
    "holders": _PROCESSES,
    "waiters": _PROCESSES,
    "sessions": _PROCESSES,
    "tasks": (*_SCAN, "ZRANGE"),
    "dead": _SCAN,
    "why": (*_PROCESSES, *_STANDING, *_CHECK, "ZRANGE"),
    "events": (*_SNAPSHOT, "XREAD", "XREVRANGE"),
    "costs": _SCAN,
    "slo": (*_SNAPSHOT, "HGET"),
    "trust": (*_SCAN, "HGET"),
    "plan list": ("HLEN", "HMGET", "ZCARD", "ZREVRANGE"),
    "plan status": ("HSCAN", "TIME"),
    "plan graph": ("HSCAN", "TIME"),
    "config get": _SNAPSHOT,
    "config set": _ACT,
    "pause": _ACT,
    "resume": _ACT,
    "drain": _ACT,
    "release": (*_ACT, *_PROCESSES),
    "cancel": (*_ACT, *_PROCESSES),
    "requeue": (*_ACT, *_SCAN),
    "reap": (*_SNAPSHOT, *_WRITE),
    "purge": (*_PROCESSES, "SREM", "UNLINK"),
    "budgets list": (*_SCAN, *_STANDING),
    "budgets set": (*_ACT, *_SCAN, *_STANDING),
    "budgets reset": (*_ACT, *_STANDING, "HKEYS", "HSCAN"),
    "tenants list": (*_SCAN, *_STANDING),
    "tenants set": (*_ACT, *_SCAN),
    "tenants rm": (*_ACT, *_SCAN),
    "policies list": _SCAN,
    "policies set": (*_ACT, *_SCAN),
    "policies rm": (*_ACT, *_SCAN),
}

#: Command -> the Redis commands without which it does not work, `NAME` or `NAME|SUBCOMMAND`.
RIGHTS: Mapping[str, tuple[str, ...]] = {
    command: tuple(sorted(set(needed))) for command, needed in _NEEDED.items()
}

#: What an administrator needs, who has nothing to do with any resource.
ADMINISTRATION: Mapping[str, tuple[str, ...]] = {
    "functions list": ("FUNCTION|LIST",),
    "functions load": ("FUNCTION|LOAD",),
    "functions rm": ("FUNCTION|DELETE", "FUNCTION|LIST"),
    "functions show": (),
}

#: Without `-n`, the list of resources is read.
UNNAMED = ("SMEMBERS",)


def demand(observer: Observer, command: str) -> None:
    """See that this user may run all that the scripts of a command run. One that is refused halfway
    through a script would leave what it has written until then: a state that is broken.

    Raises:
        BackendPermissionError: names what is missing; nothing was changed.
    """
    scripts = Scripts(observer.name, observer.link.endpoint.scripts)
    asked = scripts.rights(commands=" ".join(under(scripts.way, RIGHTS[command])))
    if denied := observer.link.run(scripts, asked):
        detail = f"`loco-redis {command}` needs that, and has changed nothing"
        raise BackendPermissionError(observer.link.where, named(denied), detail)
