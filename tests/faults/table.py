"""The faults that loco-redis must survive. Each row has at least one test `test_<row>...` in this
folder, and a line in docs/reliability.md; `tests/docs/test_reliability.py` holds them together."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A row of the table: its name in the tests, what happens, and what must come of it."""

    row: str
    fault: str
    must: str


FAULTS = (
    # Processes
    Fault(
        "worker_killed",
        "a worker dies (SIGKILL) while it holds, waits, has reserved",
        "its slots are reclaimed within lease + heartbeat interval + 1 s; what it had reserved is "
        "unsettled until it is settled late; its durable tasks go back with their age",
    ),
    Fault(
        "worker_stopped",
        "a process is stopped (SIGSTOP) for longer than a lease, then continued",
        "it learns that its lease is lost; its session is not made again; its late release "
        "changes nothing",
    ),
    Fault(
        "blocked_loop",
        "the event loop is blocked for longer than a lease",
        "the heartbeat's thread keeps the lease, up to max_stall",
    ),
    Fault(
        "fork",
        "a process forks after connecting",
        "the child gets ForkedError, the parent is unharmed",
    ),
    Fault(
        "out_of_file_descriptors",
        "the process may open no more files",
        "what is connected goes on; what cannot connect is tried again or is a typed error",
    ),
    Fault(
        "interpreter_shutdown",
        "the interpreter ends with leases held",
        "it ends at once, without a traceback of ours; the slots come back",
    ),
    Fault(
        "ctrl_c",
        "Ctrl-C comes at any moment",
        "the program ends; nothing is held afterwards",
    ),
    Fault(
        "cancellation",
        "a task is cancelled at any await",
        "CancelledError emerges, and nothing is held afterwards",
    ),
    Fault(
        "exhausted_pool",
        "the connection pool of the given client is used up",
        "outbox, inbox and heartbeat have connections of their own",
    ),
    # Connections
    Fault(
        "reset_inside_a_reply",
        "the connection is reset in the middle of a reply",
        "the outcome is found out by the same request id",
    ),
    Fault(
        "truncated_bulk",
        "a reply ends, or is garbled, in the middle of a bulk string",
        "nothing unreadable is believed; the connection is made anew",
    ),
    Fault(
        "duplicate_execution",
        "the server carries out a command twice",
        "the second is answered by the first's result",
    ),
    Fault(
        "half_open_connection",
        "the other end of a connection is gone without a word",
        "it is given up and made anew; what had no reply is sent again",
    ),
    Fault(
        "blackholed_subscription",
        "hints are lost, or their connection brings nothing",
        "every waiter is served by the heartbeat's count",
    ),
    Fault(
        "slow_reads",
        "bytes come in one at a time, or the client reads slowly",
        "everything is served, later",
    ),
    # Servers
    Fault(
        "server_killed_with_aof",
        "Redis is killed (SIGKILL) and started again with its append-only file",
        "no acknowledged grant is lost; the same sessions go on",
    ),
    Fault(
        "server_killed_without_aof",
        "Redis is killed and started again, empty",
        "holders are lost by the next heartbeat; tokens still rise; the next opener restores the "
        "configuration",
    ),
    Fault(
        "flushall",
        "somebody runs FLUSHALL",
        "holders are lost by the next heartbeat; tokens still rise; the configuration comes back",
    ),
    Fault(
        "script_flush",
        "somebody runs SCRIPT FLUSH",
        "each script is loaded again, and run once; invisible",
    ),
    Fault(
        "read_only_replica",
        "a master becomes a read-only replica",
        "commands are sent again with the same id until there is a master",
    ),
    Fault(
        "sentinel_failover",
        "the master dies, three sentinels make another",
        "work goes on there; tokens still rise",
    ),
    Fault(
        "busy",
        "a script of somebody else's keeps Redis busy (BUSY)",
        "backed off to the caller's deadline",
    ),
    Fault("loading", "Redis reads its file (LOADING)", "backed off to the caller's deadline"),
    Fault(
        "out_of_memory",
        "maxmemory is reached, with noeviction",
        "acquire: a typed error that leaves nothing; heartbeat, release, cancel, reap go through",
    ),
    Fault(
        "slot_moved",
        "the resource's cluster slot moves to another node under load",
        "commands are sent again with the same id; nothing is lost",
    ),
    Fault(
        "cluster_master_killed",
        "the cluster's master of the resource dies",
        "work goes on by its replica; tokens still rise",
    ),
    Fault(
        "clock_step",
        "the server's clock steps by an hour, either way",
        "no false expiry, no stall, tokens rise",
    ),
    Fault(
        "other_configuration",
        "another process asks for another capacity, alpha or lease",
        "ConfigMismatchError, and nothing is written",
    ),
    Fault(
        "newer_schema",
        "Redis comes back with the state of a newer version",
        "ConfigMismatchError at once, nothing is written; holders are lost",
    ),
    # Input
    Fault(
        "hostile_ids",
        "ids, payloads and URLs are odd or hostile",
        "an exact round trip or a ValueError; never in a key or in Lua; lengths are capped, by the "
        "scripts, too",
    ),
    Fault(
        "acl_user",
        "the Redis user has the documented rights only",
        "everything works; each further command is refused",
    ),
    Fault("tls", "a certificate does not verify", "refused at once, with a typed error"),
)
