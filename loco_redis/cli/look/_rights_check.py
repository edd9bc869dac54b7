"""Which Redis commands this user may run, and which commands of ours lack one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from loco_redis._keys import REGISTRY, Keys
from loco_redis._library import Way
from loco_redis._rights import OPTIONAL, WORKER, under
from loco_redis.cli._rights import RIGHTS
from loco_redis.errors import BackendError, BackendPermissionError, BackendUnavailableError
from loco_redis.observe import Link
from loco_redis.observe.diagnosis import Finding, note, ok, wrong

# Each Redis command of ours with arguments that it accepts. Those that only read may be tried.
_READS = """
BITPOS KEY 0; EVAL return|0 1 KEY; EVALSHA 0 1 KEY; EXISTS KEY; HEXISTS KEY f; HGET KEY f;
HGETALL KEY; HKEYS KEY; HLEN KEY; HMGET KEY f; HSCAN KEY 0; HVALS KEY; INFO; LRANGE KEY 0 0; PING;
SCRIPT|EXISTS 0; SMEMBERS REGISTRY; TIME; XREAD STREAMS KEY 0; XREVRANGE KEY + -; ZCARD KEY;
ZRANGE KEY 0 0; ZRANGEBYLEX KEY - +; ZREVRANGE KEY 0 0; ZREVRANGEBYLEX KEY + -; ZSCORE KEY m
"""
_WRITES = """
DEL KEY; HDEL KEY f; HINCRBY KEY f 1; HSET KEY f v; LPUSH KEY v; LTRIM KEY 0 0; PUBLISH CHANNEL m;
SADD REGISTRY m; SCRIPT|LOAD 0; SETBIT KEY 0 0; SREM REGISTRY m; SUBSCRIBE CHANNEL; UNLINK KEY;
XADD KEY * f v; ZADD KEY 0 m; ZREM KEY m; ZREMRANGEBYLEX KEY - +; ZREMRANGEBYRANK KEY 0 0
"""
# In place of EVAL and EVALSHA, where scripts are functions.
_CALLS = "FCALL none 1 KEY; FCALL_RO none 1 KEY"


def _parsed(table: str) -> dict[str, tuple[str, ...]]:
    entries = [entry.split() for entry in table.replace("\n", " ").split(";")]
    return {name: tuple(args) for name, *args in entries}


READS, WRITES, CALLS = _parsed(_READS), _parsed(_WRITES), _parsed(_CALLS)
# Who may do none of these is meant to look only.
_CHANGES = WRITES.keys() - {"SADD", "SCRIPT|LOAD", "SREM", "SUBSCRIBE", "UNLINK"}


@dataclass(frozen=True)
class Rights:
    """`denied`: Redis command -> the right that is lacking; `untried`: nobody knows; `way`: how
    scripts are run."""

    user: str
    denied: Mapping[str, str]
    untried: frozenset[str] = frozenset()
    way: Way = "eval"


def look(link: Link, name: str) -> Rights:
    """By ACL DRYRUN (Redis 7.0) where this user may; else by trying the commands that read."""
    user = str(link.endpoint.location.options.get("username") or "default")
    way = link.endpoint.scripts
    try:
        return Rights(user, dict(_dry_runs(link, user, name)), way=way)
    except BackendUnavailableError:
        raise
    except BackendError:
        if _may_all(link, user):
            return Rights(user, {}, way=way)
        return Rights(user, dict(_attempts(link, name)), frozenset(WRITES), way)


def _may_all(link: Link, user: str) -> bool:
    """Redis 6.2 has no DRYRUN, but flags."""
    try:
        told = link.call("ACL GETUSER", user)
    except BackendError:
        return False
    flags = told.get("flags", ()) if isinstance(told, dict) else ()
    return {"allcommands", "allkeys"} <= set(flags)


def _dry_runs(link: Link, user: str, name: str) -> Iterator[tuple[str, str]]:
    for command, args in (READS | WRITES | _calls(link)).items():
        said = link.call("ACL DRYRUN", user, *command.split("|"), *_filled(args, name))
        told = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        if told != "OK":
            yield command, lacking(command, told)


def _attempts(link: Link, name: str) -> Iterator[tuple[str, str]]:
    for command, args in (READS | _calls(link)).items():
        try:
            link.call(command.replace("|", " "), *_filled(args, name))
        except BackendPermissionError as error:
            yield command, lacking(command, error.detail)
        except (BackendError, NoScriptError) as error:
            # Refused for another reason, such as MOVED: that comes after the right.
            if not isinstance(error.__cause__ or error, ResponseError):
                raise


def _calls(link: Link) -> dict[str, tuple[str, ...]]:
    return CALLS if link.endpoint.scripts == "functions" else {}


def _filled(args: Iterable[str], name: str) -> list[bytes | str]:
    keys = Keys(name)
    names = {"KEY": keys.vars, "CHANNEL": keys.channel, "REGISTRY": REGISTRY}
    return [names.get(arg, arg.replace("|", " ")) for arg in args]


def lacking(command: str, refusal: str) -> str:
    """The right that a refusal is about, as ACL SETUSER takes it."""
    if named := re.search(r"'([a-z_|]+)' command", refusal):  # of a script: what it has called
        return f"+{named[1]}"
    if re.search(r"\bkeys?\b", refusal):
        return "~loco:*"
    if "channel" in refusal:
        return "&loco:*"
    return f"+{command.lower().replace(' ', '|')}"


def findings(rights: Rights) -> list[Finding]:
    return [_of_schedulers(rights), _of_commands(rights)]


def _of_schedulers(rights: Rights) -> Finding:
    needed, check = frozenset(under(rights.way, WORKER)), "scheduler rights"
    lacks = needed & rights.denied.keys()
    denied = sorted({rights.denied[name] for name in lacks})
    who = f"user {rights.user}"
    if not denied and not needed & rights.untried:
        return ok(check, f"{who} has all {len(needed)} that a scheduler needs")
    grant = f"ACL SETUSER {rights.user} {' '.join(denied)}"
    if _CHANGES <= lacks <= {*WRITES, "FCALL"}:
        return note(check, f"{who} may look, but change nothing", f"to work it needs: {grant}")
    if denied:
        return wrong(check, f"{who} lacks {' '.join(denied)}: no scheduler can work so", grant)
    text = f"{who} may read; whether it may write is unknown: needs the right +acl|dryrun"
    return note(check, f"{text} (Redis 7.0)")


def _of_commands(rights: Rights) -> Finding:
    check = "command rights"
    needing: dict[str, set[str]] = defaultdict(set)  # right -> commands
    for command, needed in RIGHTS.items():
        for name in rights.denied.keys() & set(under(rights.way, needed)):
            needing[rights.denied[name]].add(command)
    if not needing:
        wanted = under(rights.way, OPTIONAL)
        optional = {rights.denied[name] for name in wanted if name in rights.denied}
        text = "for all that read" if rights.untried else f"for all {len(RIGHTS)} commands"
        return ok(check, f"{text}, without {' '.join(sorted(optional))}" if optional else text)
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)  # commands -> rights
    for right, commands in sorted(needing.items(), key=lambda row: (-len(row[1]), row[0])):
        together[tuple(name for name in RIGHTS if name in commands)].append(right)
    told = "; ".join(
        f"{' '.join(lacking)} ({'all' if len(names) == len(RIGHTS) else ', '.join(names)})"
        for names, lacking in together.items()
    )
    count = len(set().union(*needing.values()))
    return note(check, f"{count} of {len(RIGHTS)} commands lack {told}", "grant what is wanted")


def subscription(link: Link, name: str) -> Finding:
    """Tried: a hint is how a waiter of another process is told at once."""
    channel, check = Keys(name).channel + b"doctor", "hints"
    client: Any = link.endpoint.sync_client()
    try:
        with client.pubsub() as listening:
            listening.subscribe(channel)
            listening.get_message(timeout=5.0)
    except RedisError as error:
        missing = lacking("SUBSCRIBE", str(error))
        text = f"this user may not subscribe (needs {missing}): grants are noticed late"
        return note(check, text, f"grant {missing}; until then waiters rely on their heartbeat")
    finally:
        client.close()
    return ok(check, "this user may subscribe to the channels of the resource")
