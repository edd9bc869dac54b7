"""The books of durable tasks: each is done, dead, gone with an emptied server, or lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Attempt:
    """A body of a task. `ended`: it came to its end; `how`: "confirmed" by Redis, "unconfirmed", or
    "lost"; empty while its holder has not left it, or died first."""

    token: int
    ended: bool = False
    how: str = ""


@dataclass(slots=True)
class DurableTask:
    """By its name, which is its payload."""

    asked_at: float
    task_id: str = ""  # once Redis has confirmed it
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """A body was left with its lease; or it ended, and nobody lived to tell what followed."""
        return any(a.how in ("confirmed", "unconfirmed") or (a.ended and not a.how)
                   for a in self.attempts)  # fmt: skip


class Tasks:
    """Told by workers what they do with durable tasks."""

    def __init__(self, violations: list[tuple[float, str]]) -> None:
        self._violations = violations
        self._tasks: dict[str, DurableTask] = {}
        self._by_token: dict[int, Attempt] = {}

    def submitting(self, name: str, at: float) -> None:
        self._tasks[name] = DurableTask(at)

    def submitted(self, name: str, task_id: str) -> None:
        self._tasks[name].task_id = task_id

    def began(self, name: str, token: int, at: float) -> None:
        task = self._tasks.get(name)
        if task is None:
            self._violations.append((at, f"task {name!r} is served, and nobody submitted it"))
            return
        # A lower token was granted before, and begins late: its worker was stopped or cut off.
        if any(a.how == "confirmed" and a.token < token for a in task.attempts):
            text = f"token {token} serves task {name!r} again after it was done: {task.attempts}"
            self._violations.append((at, text))
        attempt = self._by_token[token] = Attempt(token)
        task.attempts.append(attempt)

    def body_ended(self, token: int) -> None:
        if (attempt := self._by_token.get(token)) is not None:
            attempt.ended = True

    def left(self, token: int, how: str) -> None:
        if (attempt := self._by_token.pop(token, None)) is not None:
            attempt.how = how

    def findings(self) -> dict[str, Any]:
        """`submitted` are those that Redis has confirmed; `open` those of them that are not done:
        name, id, and when each was asked for."""
        tasks = self._tasks.values()
        return {
            "submitted": sum(bool(task.task_id) for task in tasks),
            "refused or unknown": sum(not task.task_id for task in tasks),
            "done": sum(task.done for task in tasks),
            "again": sum(max(0, len(task.attempts) - 1) for task in tasks),
            "twice": sum(sum(a.how == "confirmed" for a in t.attempts) > 1 for t in tasks),
            "open": [
                (name, task.task_id, task.asked_at)
                for name, task in self._tasks.items()
                if task.task_id and not task.done
            ],
        }
