"""Which Redis commands each command needs of an ACL user besides `~loco:*` and `&loco:*`, and which
one is missing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from importlib import resources

from redis.exceptions import NoPermissionError

from loco_redis._keys import Keys
from loco_redis._scripts import VERBS, Scripts
from loco_redis.errors import BackendError, BackendPermissionError
from loco_redis.observe import Observer

# Scripts; what they call counts, too.
_RUN = ("EVALSHA", "EVAL")
_SNAPSHOT = (*_RUN, "HLEN", "HMGET", "TIME", "ZCARD")
_LISTS = ("HGET", "HGETALL", "HKEYS", "HVALS", "ZRANGE", "ZREVRANGE")  # its rows
_AGENT = (*_RUN, "HGET", "HMGET", "HVALS", "TIME", "ZRANGE", "ZREVRANGE")
_STANDING = (*_RUN, "HGET", "HMGET", "TIME")
_CHECK = (*_RUN, "HEXISTS", "HGET", "HMGET", "TIME")
# Any script that writes may end sessions, grant, account and note events.
_WRITE = (
    *("BITPOS", "DEL", "HDEL", "HEXISTS", "HGET", "HINCRBY", "HMGET", "HSET", "LPUSH", "LTRIM"),
    *("PUBLISH", "SETBIT", "TIME", "XADD", "ZADD", "ZRANGE", "ZRANGEBYLEX", "ZREM"),
    *("ZREMRANGEBYLEX", "ZREMRANGEBYRANK", "ZREVRANGE", "ZREVRANGEBYLEX"),
)
# A scheduler for one call: it opens a session, acts and closes it.
_ACT = (*_SNAPSHOT, *_WRITE, "HVALS", "SCRIPT|LOAD", "ZSCORE")
_GOVERN = (*_ACT, "HGETALL", "HKEYS")
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
    "tasks": _SCAN,
    "dead": _SCAN,
    "why": (*_PROCESSES, *_STANDING, *_CHECK),
    "events": (*_SNAPSHOT, "XREAD", "XREVRANGE"),
    "costs": _SCAN,
    "slo": (*_SNAPSHOT, "HGET"),
    "trust": (*_SCAN, "HGET"),
    "config get": _SNAPSHOT,
    "config set": _ACT,
    "pause": _ACT,
    "resume": _ACT,
    "drain": (*_ACT, *_LISTS),
    "release": (*_ACT, *_PROCESSES),
    "cancel": (*_ACT, *_PROCESSES),
    "requeue": (*_ACT, *_SCAN),
    "reap": (*_SNAPSHOT, *_WRITE),
    "purge": (*_PROCESSES, "SREM", "UNLINK"),
    "budgets list": (*_SCAN, *_STANDING),
    "budgets set": (*_GOVERN, *_SCAN, *_STANDING),
    "budgets reset": (*_ACT, *_STANDING, "HKEYS", "HSCAN"),
    "tenants list": (*_SCAN, *_STANDING),
    "tenants set": (*_GOVERN, *_SCAN),
    "tenants rm": (*_GOVERN, *_SCAN),
    "policies list": _SCAN,
    "policies set": (*_GOVERN, *_SCAN),
    "policies rm": (*_GOVERN, *_SCAN),
}

#: Command -> the Redis commands without which it does not work, `NAME` or `NAME|SUBCOMMAND`.
RIGHTS: Mapping[str, tuple[str, ...]] = {
    command: tuple(sorted(set(needed))) for command, needed in _NEEDED.items()
}

#: Without `-n`, the list of resources is read.
UNNAMED = ("SMEMBERS",)

#: In a cluster, besides: how a client finds the node of a resource.
CLUSTER = ("CLUSTER|SLOTS", "COMMAND")

#: Used where they are allowed, and done without where not: they check the server before the first
#: call, keep the list of resources, and make hints come at once.
OPTIONAL = ("INFO", "PING", "SADD", "SCRIPT|EXISTS", "SUBSCRIBE")

# Up to Redis 7.0 a script is refused without a word about the command, but with its line.
_UNNAMED_REFUSAL = "The user executing the script can't"
_LINE = re.compile(r"@user_script:\s*(\d+)")
_CALLED = re.compile(r"redis\.call\('([A-Z]+)'")
_NAMED = re.compile(r"'([a-z|]+)' command")


def acl_rules(commands: tuple[str, ...]) -> str:
    """As `ACL SETUSER` takes them."""
    allowed = (f"+{name.lower()}" for name in commands)
    return " ".join(("~loco:*", "resetchannels", "&loco:*", *allowed))


def demand(observer: Observer, command: str) -> None:
    """See that this user may run all that the scripts of a command run. One that is refused halfway
    through a script would leave what it has written until then: a state that is broken.

    Raises:
        BackendPermissionError: names what is missing; nothing was changed.
    """
    keys = Keys(observer.name)
    source = (resources.files("loco_redis.cli") / "rights.lua").read_text()
    # The second is of the resource's slot and user rights, and nobody ever makes it.
    names = (keys.vars, keys.vars + b":none")
    asked = RIGHTS[command]
    denied = observer.link.call("EVAL", source, len(names), *names, keys.channel, *asked)
    if denied:
        named = (name.decode() for name in denied)
        missing = ", ".join(f"{n} to loco:*" if n == "PUBLISH" else n for n in named)
        detail = f"`loco-redis {command}` needs that, and has changed nothing"
        raise BackendPermissionError(observer.link.where, missing, detail)


@contextlib.contextmanager
def rights_named(where: str) -> Iterator[None]:
    """A BackendError that comes of a missing right becomes one that names the right."""
    try:
        yield
    except BackendPermissionError:
        raise
    except BackendError as error:
        denied = _denied(error, where)
        if denied is None:
            raise
        raise denied from error


def _denied(error: BackendError, where: str) -> BackendPermissionError | None:
    cause, told = error.__cause__, str(error.__cause__)
    is_denied = isinstance(cause, NoPermissionError) or "NOPERM" in told or "ACL fail" in told
    if not (is_denied or _UNNAMED_REFUSAL in told):
        return None
    script = error.detail.partition(" ")[0]
    right = missing_right(script, told)
    detail = f"{script} needs it" if _UNNAMED_REFUSAL in told else told.splitlines()[0]
    return BackendPermissionError(where, right or script, detail)


def missing_right(script: str, refusal: str) -> str | None:
    """The Redis command that a refusal is about: as it says, or as the script's line does."""
    if named := _NAMED.search(refusal):
        return named[1].upper()
    lines = _LINE.findall(refusal)
    if script not in VERBS or not lines:
        return None
    line = Scripts("any").source(script).splitlines()[int(lines[-1]) - 1]
    return " or ".join(dict.fromkeys(_CALLED.findall(line))) or None
