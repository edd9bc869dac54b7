"""The decision log in the model: `record` is called where a decision is made."""

from __future__ import annotations

from loco_redis.testing.model_state import Event, State


def record(
    state: State, now: int, kind: str, agent: bytes | None = None, /, **facts: bytes | str | int
) -> None:
    """Append an entry of the present script, while the log is on."""
    if not state.configured.events:
        return
    serial = state.serial + 1
    known = len(_of_script(state, serial))
    told = {"at": now, "tick": state.tick, "kind": kind, **facts}
    if agent is not None:
        told["agent"] = agent
    fields = {
        name: value if isinstance(value, bytes) else str(value).encode()
        for name, value in told.items()
    }
    state.log.append(Event(serial, known + 1, fields))


def written(state: State) -> None:
    """The present script ends: its entries are in the stream, which may cut older ones."""
    added = len(_of_script(state, state.serial + 1))
    state.kept = min(state.kept + added, state.configured.events)


def forget(state: State) -> None:
    """The log is switched off."""
    state.log, state.kept = [], 0


def _of_script(state: State, serial: int) -> list[Event]:
    mine = []
    for event in reversed(state.log):
        if event.serial != serial:
            break
        mine.append(event)
    return mine
