"""The simulated wire loses nothing of what it carries."""

from __future__ import annotations

from typing import Any

from loco_redis import _replies as replies
from loco_redis._replies import Grant, Status
from loco_redis._scripts import Command, Scripts
from loco_redis._wire import Framer
from loco_redis.testing import ops
from tests.simulation.wire import commands, encode, operation

SESSION = "a" * 16
CALL = (SESSION, 3, 17)
TASK = f"{SESSION}:000000000007"
GRANT = Grant(7, 2, 1_000_000_000_000_017, 2.5, 1, 4, 0.1 + 0.2, True, "d", TASK)
CONFIG = replies.StoredConfig(3, 0.1, 0.6, None, 2, rpm=60, rpm_burst=1, paused=1, born=17)

OPERATIONS: tuple[ops.Op, ...] = (
    ops.Open(SESSION, 17, "host|1", 3, 0.25, 600_000, -1, rpm=60),
    ops.Open(SESSION, 17),
    ops.Heartbeat(*CALL),
    ops.Submit(*CALL, 7, b"an|agent", 1500, 3, b"\0body", b"1::x"),
    ops.Submit(*CALL, 7, b"agent", 1500, 3, b"", b"", b"+5|17|9|a|key"),
    ops.Serve(*CALL, 7),
    ops.Complete(*CALL, 7, 99, False, "0103", b"a\x1fb", "f", b"why|\0", 1000),
    ops.Result(*CALL, TASK),
    ops.Acquire(*CALL, 7, b"agent", 1500, b"1::x"),
    ops.Acquire(*CALL, 7, b"agent", None),
    ops.Release(*CALL, 7, 99, False, "0103", b"a\x1fb"),
    ops.Cancel(*CALL, 7, True),
    ops.Settle(SESSION, 7, 99, 1500, None),
    ops.Settle(SESSION, 7, 99, 1500, 20, b"a"),
    ops.CancelTask(*CALL, 7, f"{SESSION}:000000000001"),
    ops.Evict(*CALL, 7, f"{SESSION}:000000000001"),
    ops.Requeue(*CALL, 7, f"{SESSION}:000000000001"),
    ops.Register(*CALL, 7, b"agent", "kind"),
    ops.Unregister(*CALL, 7, b"agent"),
    ops.Reconfigure(*CALL, 7, 2, alpha=0.5),
    ops.Govern(*CALL, 7, ops.packed({b"cagent": b"1"})),
    ops.Throttle(*CALL, 7, 99, 1_000_000),
    ops.Close(SESSION, 17),
    ops.Reap(),
    ops.Poll(SESSION, f"{SESSION}:000000000001"),
    ops.Several((ops.Acquire(*CALL, 7, b"agent", None), ops.Release(*CALL, 5, 99))),
)

REPLIES: dict[str, tuple[Any, ...]] = {
    "open": (
        replies.OpenReply(Status.OK, 5, CONFIG, 9),
        replies.OpenReply(Status.MISMATCH, 0, field="alpha", stored="0.25"),
        replies.OpenReply(Status.UNCONFIGURED, 0),
    ),
    "heartbeat": (
        replies.HeartbeatReply(Status.OK, 5, 0.6, 2, 9, 99, True, 1000),
        replies.HeartbeatReply(Status.EXPIRED, 5),
    ),
    "submit": (
        replies.SubmitReply(Status.OK, 5, None, TASK, 1000),
        replies.SubmitReply(Status.EXPIRED, 5),
        replies.SubmitReply(Status.REFUSED, 5, replies.Refusal("budget", ("1", "2"))),
    ),
    "register": (
        replies.RefusableReply(Status.OK, 5),
        replies.RefusableReply(Status.REFUSED, 5, replies.Refusal("full", ("1", "2"))),
    ),
    "serve": (replies.AcquireReply(Status.GRANTED, 5, 4, 0, 0.0, (GRANT._replace(agent=b"a|b"),)),),
    "complete": (
        replies.CompleteReply(Status.OK, 5, 4, 1.5, 3, (GRANT,), 1000),
        replies.CompleteReply(Status.EXPIRED, 5),
    ),
    "result": (
        replies.ResultReply(Status.OK, 5, "f", b"\0why"),
        replies.ResultReply(Status.QUEUED, 5),
    ),
    "acquire": (
        replies.AcquireReply(Status.GRANTED, 5, 4, 0, 1.5, (GRANT,)),
        replies.AcquireReply(Status.QUEUED, 5, 4, 1000, 1.5),
        replies.AcquireReply(Status.FINISHED, 5, 4),
        replies.AcquireReply(Status.EXPIRED, 5),
        replies.AcquireReply(Status.REFUSED, 5, refusal=replies.Refusal("budget", ("1",))),
    ),
    "release": (
        replies.ReleaseReply(Status.OK, 5, 4, 1.5, 3, (GRANT, GRANT._replace(task_id=None))),
        replies.ReleaseReply(Status.FINISHED, 5, 4),
        replies.ReleaseReply(Status.EXPIRED, 5),
    ),
    "cancel": (
        replies.GrantsReply(Status.OK, 5, (GRANT,)),
        replies.GrantsReply(Status.EXPIRED, 5),
    ),
    "settle": (replies.SettleReply(Status.LATE, 5, 1.5),),
    "reconfigure": (replies.ReconfigureReply(Status.OK, 5, CONFIG, (GRANT,)),),
    "close": (replies.CloseReply(Status.OK, 5, True), replies.CloseReply(Status.FINISHED, 5)),
    "reap": (replies.ReapReply(Status.OK, 5, 2, True, 7), replies.ReapReply(Status.EXPIRED, 0)),
    "poll": (
        replies.PollReply(Status.OK, 5, 9, "x", (GRANT,), (1, 12)),
        replies.PollReply(Status.EXPIRED, 0),
    ),
}


def command_of(scripts: Scripts, op: ops.Op) -> Command[Any]:
    if isinstance(op, ops.Several):
        return scripts.several([command_of(scripts, step) for step in op.steps])
    command: Command[Any] = getattr(scripts, op.verb)(**op.arguments())
    return command


def test_an_operation_arrives_as_it_was_sent() -> None:
    """Packed by the client's framer and parsed again it is the same, for each verb that is used."""
    scripts = Scripts("llm")
    framer, keys = Framer(scripts), len(scripts.keys.all)
    for op in OPERATIONS:
        command = command_of(scripts, op)
        (args,) = commands(framer.script(command))
        assert args[1].decode() == scripts.sha(op.verb)
        assert operation(op.verb, args[3 + keys + 1 :]) == op


def test_a_reply_is_decoded_to_what_it_was() -> None:
    """`decode(encode(reply)) == reply`, with the client's own decoder."""
    scripts = Scripts("llm")
    decoders = {op.verb: command_of(scripts, op).decode for op in OPERATIONS}
    for verb, examples in REPLIES.items():
        for reply in examples:
            assert decoders[verb](encode(reply)) == reply
    steps = [
        replies.AcquireReply(Status.GRANTED, 5, 4, 0, 1.5, (GRANT,)),
        replies.ReleaseReply(Status.OK, 6, 4, 1.5, 3),
    ]
    assert decoders["several"](encode(steps)) == steps
