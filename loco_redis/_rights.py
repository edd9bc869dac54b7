"""What a scheduler's Redis user must be allowed, and what a refusal says is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from redis.exceptions import NoPermissionError

from loco_redis._library import Way
from loco_redis._scripts import VERBS, Scripts, library
from loco_redis.errors import BackendPermissionError

#: What runs scripts: a scheduler that knows their hash, one that has to load them, its heartbeat.
_RUN = ("EVAL", "EVALSHA", "SCRIPT|LOAD")
#: The same where they are functions.
_CALL = ("FCALL", "FCALL_RO")
#: What the scripts call. Any of those that write may end sessions, grant, account, note events.
_CALLED = (
    *("BITPOS", "DEL", "EXISTS", "HDEL", "HEXISTS", "HGET", "HGETALL", "HINCRBY", "HKEYS", "HLEN"),
    *("HMGET", "HSET", "HVALS", "LPUSH", "LTRIM", "PUBLISH", "SETBIT", "TIME", "XADD", "ZADD"),
    *("ZCARD", "ZRANGE", "ZRANGEBYLEX", "ZREM", "ZREMRANGEBYLEX", "ZREMRANGEBYRANK", "ZREVRANGE"),
    *("ZREVRANGEBYLEX", "ZSCORE"),
)
#: What a scheduler's methods read without a script.
_READ = ("HSCAN", "LRANGE")

#: The rights of a worker, `NAME` or `NAME|SUBCOMMAND`. A scheduler opens with all of them only:
#: a script that is refused halfway would leave a broken state.
WORKER = tuple(sorted((*_RUN, *_CALLED, *_READ)))

#: Used where they are allowed, and done without where not: they check the server's version, find
#: out which scripts are loaded, enter the resource into the list of all, make hints come at once.
OPTIONAL = ("INFO", "PING", "SADD", "SCRIPT|EXISTS", "SUBSCRIBE")

#: What plans, routers and shared contexts need besides: the scripts of `orchestration/lua`.
ORCHESTRATION = ("HSTRLEN", "PEXPIRE", "UNLINK", "ZRANGEBYSCORE", "ZREMRANGEBYSCORE")

#: In a cluster, besides: how a client finds the node of a resource.
CLUSTER = ("CLUSTER|SLOTS", "COMMAND")

# Up to Redis 7.0 a script is refused without a word about the command, but with its line.
_UNNAMED = "The user executing the script can't"
_LINE = re.compile(r"@user_(script|function):\s*(\d+)")
_CALLS = re.compile(r"redis\.call\('([A-Z]+)'")
_NAMED = re.compile(r"'([a-z_|]+)' command")
_ABOUT_KEYS = re.compile(r"\bkeys?\b")


def under(way: Way, commands: Iterable[str]) -> tuple[str, ...]:
    """Rights as they are where scripts are run that way."""
    needed = set(commands)
    if way == "functions" and needed & {*_RUN, "SCRIPT|EXISTS"}:
        needed = needed - {*_RUN, "SCRIPT|EXISTS"} | {*_CALL}
    return tuple(sorted(needed))


def acl_rules(commands: tuple[str, ...]) -> str:
    """As `ACL SETUSER` takes them."""
    allowed = (f"+{name.lower()}" for name in commands)
    return " ".join(("~loco:*", "resetchannels", "&loco:*", *allowed))


def named(denied: tuple[str, ...]) -> str:
    """Rights that a script has found missing, for a message."""
    # Which of the two is missing, the command or the channel, the server does not tell.
    return ", ".join(f"{name} to loco:*" if name == "PUBLISH" else name for name in denied)


def denied(where: str, script: str, cause: BaseException) -> BackendPermissionError | None:
    """The typed form of an error reply to `script` (or to the plain command of that name), if it
    says that the user may not do that."""
    if isinstance(cause, BackendPermissionError):
        return cause
    told = str(cause)
    if not (isinstance(cause, NoPermissionError) or is_refusal(told)):
        return None
    detail = f"{script} needs it" if _UNNAMED in told else told.splitlines()[0]
    return BackendPermissionError(where, missing_right(script, told) or script, detail)


def is_refusal(told: str) -> bool:
    return "NOPERM" in told or "ACL fail" in told or _UNNAMED in told


def missing_right(script: str, refusal: str) -> str | None:
    """The Redis command that a refusal is about: as it says, or as the script's line does."""
    if found := _NAMED.search(refusal):
        return found[1].upper()
    lines = _LINE.findall(refusal)
    if lines and (lines[-1][0] == "function" or script in VERBS):
        kind, number = lines[-1]
        text = library().text if kind == "function" else Scripts("any").source(script)
        line = text.splitlines()[int(number) - 1]
        return " or ".join(dict.fromkeys(_CALLS.findall(line))) or None
    if "channel" in refusal:
        return f"{script} on channels loco:*"
    return f"{script} on keys loco:*" if _ABOUT_KEYS.search(refusal) else None
