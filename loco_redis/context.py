"""Who calls: named for a stretch of code, and known to everything that is called there."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import MappingProxyType, TracebackType
from typing import Self

from loco_redis import _validate as validate
from loco_redis.models import Task

#: Who calls where nobody says it.
DEFAULT_AGENT = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """An agent, and whom its costs are attributed to; the attributes are those of a Task.

    Raises:
        ValueError: any of them out of range.
    """

    agent_id: str
    session_id: str | None = None
    team: str | None = None
    workflow: str | None = None
    labels: Mapping[str, str] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        validate.agent_id(self.agent_id)
        if self.labels is not None:
            if not isinstance(self.labels, Mapping):
                raise ValueError(
                    "labels must be a mapping, such as {'input': SecurityLabel.INTERNAL}, "
                    f"got {validate.shown(self.labels)}"
                )
            object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))
        self.task()

    def task(self, weight: float = 1.0) -> Task:
        """A task of this caller."""
        return Task(
            weight=weight,
            labels=self.labels,
            session_id=self.session_id,
            team=self.team,
            workflow=self.workflow,
        )

    def within(self, outer: Caller | None) -> Caller:
        """What this one leaves out is as the outer one says."""
        if outer is None:
            return self
        inherited = {
            name: getattr(outer, name) for name in _INHERITED if getattr(self, name) is None
        }
        return replace(self, **inherited)


_INHERITED = ("session_id", "team", "workflow", "labels")


class agent:
    """`with agent("analyst", team="risk"):` names who makes the calls inside, in async code as in
    threads; tasks that are made inside inherit it.

    Of nested ones the inner agent calls; what the inner one leaves out (None) of the rest is as the
    outer one says. It may be entered any number of times, also by several tasks at once.

    Args:
        session_id, team, workflow: whom the costs of the calls are attributed to.
        labels: security labels of their data, such as {"input": SecurityLabel.INTERNAL}.

    Raises:
        ValueError: at once, for any of them out of range.
    """

    __slots__ = ("_caller",)

    def __init__(
        self,
        agent_id: str,
        *,
        session_id: str | None = None,
        team: str | None = None,
        workflow: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._caller = Caller(agent_id, session_id, team, workflow, labels)

    @classmethod
    def of(cls, caller: Caller) -> Self:
        """The same for a caller that is known."""
        made = cls.__new__(cls)
        made._caller = caller
        return made

    def __repr__(self) -> str:
        caller = self._caller
        told = {name: getattr(caller, name) for name in _INHERITED}
        if caller.labels is not None:
            told["labels"] = dict(caller.labels)
        shown = [f", {name}={value!r}" for name, value in told.items() if value is not None]
        return f"agent({caller.agent_id!r}{''.join(shown)})"

    def __enter__(self) -> Caller:
        caller = self._caller.within(current())
        _entered.set((*_entered.get(), (self, caller)))
        return caller

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Not by a token: an async generator may be closed in another context than it was begun in.
        entered = _entered.get()
        for index in reversed(range(len(entered))):
            if entered[index][0] is self:
                _entered.set(entered[:index] + entered[index + 1 :])
                return


def current() -> Caller | None:
    """Who calls here: the innermost `with agent(...)`; None outside of all."""
    entered = _entered.get()
    return entered[-1][1] if entered else None


_entered: ContextVar[tuple[tuple[agent, Caller], ...]] = ContextVar("loco_redis_agent", default=())
