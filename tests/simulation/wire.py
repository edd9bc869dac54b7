"""Between the bytes of the client and the reference model: frames become operations, and the
model's replies take the form in which a script gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import singledispatch
from typing import Any, NamedTuple

import hiredis

from loco_redis import _replies as replies
from loco_redis._replies import Grant, Status
from loco_redis.testing import ops

_STEP_SIZES = {b"acquire": 4, b"release": 5}  # arguments from rid on, as in _scripts.py

_KINDS: dict[str, type[ops.Op]] = {
    kind.verb: kind
    for kind in vars(ops).values()
    if isinstance(kind, type) and issubclass(kind, ops.Op) and kind.verb
}


def _optional(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda value: read(value) if value else None


_READERS: dict[str, Callable[[bytes], Any]] = {
    "int": int,
    "str": bytes.decode,
    "bytes": bytes,
    "bool": b"1".__eq__,
    "int | None": _optional(int),
    "float | None": _optional(float),
}


class _Form(NamedTuple):
    """How the ARGV of a script, from the session on, is read."""

    kind: type[ops.Op]
    readers: tuple[Callable[[bytes], Any], ...]
    of_session: bool


def _sequence(rid: bytes) -> int:
    return int(rid.rpartition(b":")[2])


def _form(kind: type[ops.Op]) -> _Form:
    named = [(f.name, str(f.type)) for f in fields(kind)]
    readers = tuple(_sequence if n == "sequence" else _READERS[t] for n, t in named)
    return _Form(kind, readers, named[:1] == [("session", "str")])


_FORMS = {verb: _form(kind) for verb, kind in _KINDS.items() if verb != "several"}


def commands(data: bytes) -> Iterator[list[bytes]]:
    """The commands in bytes that a client has written."""
    reader = hiredis.Reader()
    reader.feed(data)
    while (command := reader.gets()) is not False:
        yield command


def operation(verb: str, args: list[bytes]) -> ops.Op:
    """What a call of a script asks for; `args` is its ARGV without the channel."""
    if verb == "several":
        return _several(args)
    form = _FORMS[verb]
    if verb == "open":
        args = [*args[:3], *args[4:]]  # the schema is not in the operation
    if not form.of_session:
        args = args[1:]
    return form.kind(*(read(v) for read, v in zip(form.readers, args, strict=True)))


def _several(args: list[bytes]) -> ops.Several:
    head, rest = args[:3], args[3:]
    steps: list[Any] = []
    while rest:
        size = _STEP_SIZES[rest[0]]
        steps.append(operation(rest[0].decode(), [*head, *rest[1 : size + 1]]))
        rest = rest[size + 1 :]
    return ops.Several(tuple(steps))


def text(grant: Grant) -> bytes:
    """As it stands in replies and hints."""
    return (
        f"{grant.sequence}|{grant.slot}|{grant.token}|{round(grant.weight * 1000)}|{grant.attempt}"
        f"|{grant.waited_ticks}|{grant.score:.17g}|{int(grant.has_body)}|{grant.flags}"
        f"|{grant.task_id or ''}"
    ).encode() + (b"" if grant.agent is None else b"|" + grant.agent)


def _texts(grants: tuple[Grant, ...]) -> list[bytes]:
    return [text(grant) for grant in grants]


@singledispatch
def encode(reply: Any) -> list[Any]:
    """The raw form of a reply, such as `_replies.py` decodes."""
    return [int(reply.status), reply.serial]


@encode.register
def _(reply: list) -> list[Any]:  # type: ignore[type-arg]  # singledispatch takes plain classes
    return [encode(one) for one in reply]


@encode.register
def _(reply: replies.OpenReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is Status.MISMATCH:
        return [*head, reply.field.encode(), reply.stored.encode()]
    if reply.config is None:
        return head
    return [*head, *_config(reply.config), reply.delivered]


def _config(config: replies.StoredConfig) -> list[Any]:
    limit = -1 if config.max_waiters is None else config.max_waiters
    pace = [getattr(config, f.name) for f in fields(config)][5:]
    alpha = f"{config.alpha:.17g}".encode()
    return [config.capacity, alpha, round(config.lease * 1e6), limit, config.version, *pace]


@encode.register
def _(reply: replies.HeartbeatReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is not Status.OK:
        return head
    lease, more = round(reply.lease * 1e6), int(reply.more)
    return [*head, lease, reply.version, reply.delivered, reply.fence, more, reply.wake]


@encode.register
def _(reply: replies.RefusableReply) -> list[Any]:
    return [int(reply.status), reply.serial, *_refusal(reply.refusal)]


@encode.register
def _(reply: replies.SubmitReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is Status.OK:
        return [*head, reply.task_id.encode(), reply.wake]
    return [*head, *_refusal(reply.refusal)]


@encode.register
def _(reply: replies.ResultReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    return [*head, reply.kind.encode(), reply.value] if reply.status is Status.OK else head


def _refusal(refusal: replies.Refusal | None) -> list[bytes]:
    if refusal is None:
        return []
    return [refusal.policy.encode(), *(fact.encode() for fact in refusal.facts)]


@encode.register
def _(reply: replies.GrantsReply) -> list[Any]:
    return [int(reply.status), reply.serial, *_texts(reply.grants)]


@encode.register
def _(reply: replies.AcquireReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is Status.REFUSED:
        return [*head, *_refusal(reply.refusal)]
    if reply.status is Status.EXPIRED:
        return head
    depth = round(reply.depth * 1000)
    return [*head, reply.tick, reply.wake, depth, *_texts(reply.grants)]


@encode.register
def _(reply: replies.ReleaseReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is Status.EXPIRED:
        return head
    return [*head, reply.tick, round(reply.cost * 1000), reply.held, *_texts(reply.grants)]


@encode.register
def _(reply: replies.CompleteReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is Status.EXPIRED:
        return head
    cost = round(reply.cost * 1000)
    return [*head, reply.tick, cost, reply.held, reply.wake, *_texts(reply.grants)]


@encode.register
def _(reply: replies.ReconfigureReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.config is None:
        return head
    return [*head, *_config(reply.config), *_texts(reply.grants)]


@encode.register
def _(reply: replies.SettleReply) -> list[Any]:
    return [int(reply.status), reply.serial, round(reply.cost * 1000)]


@encode.register
def _(reply: replies.CloseReply) -> list[Any]:
    return [int(reply.status), reply.serial, int(reply.more)]


@encode.register
def _(reply: replies.ReapReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is not Status.OK:
        return head
    return [*head, reply.reaped, int(reply.more), reply.wake]


@encode.register
def _(reply: replies.PollReply) -> list[Any]:
    head = [int(reply.status), reply.serial]
    if reply.status is not Status.OK:
        return head
    waiting = [b"%d" % sequence for sequence in reply.waiting]
    return [*head, reply.delivered, reply.after.encode(), *_texts(reply.grants), *waiting]
