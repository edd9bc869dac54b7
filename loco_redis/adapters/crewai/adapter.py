"""CrewAI's LLMs and crews, each call of which waits for its slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar, Unpack

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.schedulers import Given
from loco_redis.adapters._calls.threads import in_thread
from loco_redis.adapters.crewai._llm import is_scheduled, scheduled_llm
from loco_redis.blocking import LOCOScheduler
from loco_redis.scheduler import AsyncLOCOScheduler

_crewai = need("crewai", "crewai")
_create_llm = need("crewai.utilities.llm_utils", "crewai").create_llm

C = TypeVar("C")

_OF_AGENTS = ("llm", "function_calling_llm")
_OF_CREWS = ("manager_llm", "function_calling_llm", "planning_llm", "chat_llm")


class CrewAIAdapter:
    """`Agent(llm=CrewAIAdapter(scheduler).llm("openai/gpt-5-nano"), ...)` is an agent whose every
    call of its LLM waits until its turn has come.

    Who calls: the context, else `agent_id`, else the role of the agent.

    Args:
        scheduler: an AsyncLOCOScheduler (for async calls, and for those of worker threads), a
            LOCOScheduler (for plain calls), or None: the configured one.
        options: as in CallArguments.

    Raises:
        ValueError: any of them out of range.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        self._conductor = Conductor("crewai", scheduler, **options)

    def __repr__(self) -> str:
        scheduler = self._conductor.scheduler
        return f"<CrewAIAdapter of {scheduler or 'the configured scheduler'}>"

    def llm(self, llm: Any, agent_id: str | None = None) -> Any:
        """A scheduled copy of the LLM, of a subclass of its class; the one given is not changed.

        Args:
            llm: a BaseLLM, such as `crewai.LLM` makes, or a model's name.
            agent_id: who calls with it, where the context does not say it; None: the adapter's.

        Raises:
            ValueError: neither of them, or an agent id that is none.
        """
        if isinstance(llm, str):
            llm = _crewai.LLM(model=llm)
        if not isinstance(llm, _crewai.BaseLLM):
            raise ValueError(f"llm must be a BaseLLM or a model's name, got {validate.shown(llm)}")
        conductor = self._conductor
        if agent_id is not None:
            options = conductor.options.arguments()
            options["agent_id"] = agent_id
            conductor = Conductor("crewai", conductor.scheduler, **options)
        return scheduled_llm(llm, conductor)

    def crew(self, crew: C) -> C:
        """The crew itself: from now on its LLMs, and those of its agents, are scheduled; those
        that are so already stay as they are.

        Raises:
            ValueError: not a Crew.
        """
        if not isinstance(crew, _crewai.Crew):
            raise ValueError(f"crew must be a Crew, got {validate.shown(crew)}")
        copies: dict[int, Any] = {}  # what agents share stays shared
        for owner, name in _llms_of(crew):
            llm = vars(owner).get(name)  # reading one that is deprecated would warn
            if llm is not None and not is_scheduled(llm):
                if id(llm) not in copies:
                    copies[id(llm)] = self.llm(_create_llm(llm))
                setattr(owner, name, copies[id(llm)])
        return crew

    def run_crew(self, crew: Any, inputs: dict[str, Any] | None = None) -> Any:
        """`self.crew(crew).kickoff(inputs=inputs)`. With an AsyncLOCOScheduler, and without one in
        an event loop, it is awaited: CrewAI then runs in a thread of its own, in this context.

        Cancelling does not end that thread: a call that it makes keeps its slot until it is done.

        Raises:
            ValueError: not a Crew.
        """
        self.crew(crew)
        kickoff = partial(crew.kickoff, inputs=inputs)
        return self._run(kickoff) if self._awaited else kickoff()

    async def _run(self, kickoff: Callable[[], Any]) -> Any:
        if isinstance(self._conductor.scheduler, AsyncLOCOScheduler):
            await self._conductor.scheduler._use()  # open for the calls of other threads
        return await in_thread(kickoff)

    @property
    def _awaited(self) -> bool:
        scheduler = self._conductor.scheduler
        if isinstance(scheduler, LOCOScheduler):
            return False
        return isinstance(scheduler, AsyncLOCOScheduler) or asyncio._get_running_loop() is not None


def _llms_of(crew: Any) -> Iterator[tuple[Any, str]]:
    """Where LLMs are kept: owners and attributes."""
    of_tasks = (task.agent for task in crew.tasks)
    for agent in (*crew.agents, crew.manager_agent, *of_tasks):
        if agent is not None:
            yield from ((agent, name) for name in _OF_AGENTS)
    yield from ((crew, name) for name in _OF_CREWS)
