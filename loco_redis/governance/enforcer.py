"""The policies of one scheduler: built-in ones and your own."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from typing import Any

from loco_redis import _validate as validate
from loco_redis.governance._policy import BuiltInPolicy, Policy, check_in_redis
from loco_redis.governance._rules import Governor, Use
from loco_redis.models import Task

_RESERVED = ("budget", "access", "rate", "tenant")  # what refusals of Redis are called

_log = logging.getLogger("loco_redis")


class PolicyEnforcer(Governor):
    """Policies of one scheduler: your own, asked in their order before Redis is; and the built-in
    ones (budget, access, rate), which Redis enforces for the whole fleet.

    Raises:
        ValueError: what is no Policy, a second one of the same name, a name that is taken.
    """

    _option = "enforcer={}"

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self._policies: dict[str, Policy] = {}
        for policy in policies:
            self._add(policy)

    def __repr__(self) -> str:
        return f"PolicyEnforcer({[*self._policies.values()]!r})"

    async def check_all(self, agent_id: str, task: Task | None = None) -> list[str]:
        """Would this task be let in now? Consumes nothing.

        Returns:
            The names of the policies that let it pass.

        Raises:
            PolicyViolationError, TenantLimitError: the first that refuses.
        """
        validate.agent_id(agent_id)
        task = task or Task()
        passed = await self.check_custom(agent_id, task)
        built_in = [policy.name for policy in self._built_in()]
        if built_in or self._use is not None:
            await check_in_redis(await self._session(), agent_id, task)
        return passed + built_in

    async def check_custom(self, agent_id: str, task: Task) -> list[str]:
        """The part of `check_all` that needs no Redis: the policies of your own."""
        passed = []
        for policy in self._custom():
            checked = policy.check(agent_id, task)
            if inspect.isawaitable(checked):
                await checked
            passed.append(policy.name)
        return passed

    async def record_all(self, agent_id: str, task: Task) -> None:
        """Tell the policies of your own that a task is completed; what they raise is logged. The
        scheduler does so, and Redis keeps the books of the built-in ones."""
        for policy in self._custom():
            try:
                recorded = policy.record(agent_id, task)
                if inspect.isawaitable(recorded):
                    await recorded
            except Exception:  # noqa: BLE001  it is the user's, and may raise anything
                _log.exception("policy %r could not record a task", policy.name)

    async def add_policy(self, policy: Policy) -> None:
        """Apply one more, after the others; a built-in one to the whole fleet."""
        self._add(policy)
        if not isinstance(policy, BuiltInPolicy) or self._use is None:
            return
        policy._bind(self._use)
        try:
            await policy._install(await self._use())
        except BaseException:
            self._policies.pop(policy.name, None)
            raise

    async def remove_policy(self, name: str) -> Policy | None:
        """Apply it no more; None when there is none of this name. With a built-in one, all rules
        of its kind leave Redis, whoever has set them."""
        policy = self._policies.get(name)
        if isinstance(policy, BuiltInPolicy) and self._use is not None:
            await policy._uninstall(await self._use())
        return self._policies.pop(name, None)

    def get_policy(self, name: str) -> Policy | None:
        return self._policies.get(name)

    async def summary(self) -> dict[str, dict[str, Any]]:
        """Name -> what its policy says of itself."""
        found: dict[str, dict[str, Any]] = {}
        for name, policy in [*self._policies.items()]:
            told = policy.summary()
            found[name] = await told if inspect.isawaitable(told) else told
        return found

    def _bind(self, use: Use) -> None:
        super()._bind(use)
        for policy in self._built_in():
            policy._bind(use)

    def _rules(self) -> dict[bytes, bytes]:
        changes: dict[bytes, bytes] = {}
        for policy in self._built_in():
            changes |= policy._rules()
        return changes

    def _built_in(self) -> list[BuiltInPolicy]:
        return [policy for policy in self._policies.values() if isinstance(policy, BuiltInPolicy)]

    def _custom(self) -> list[Policy]:
        return [p for p in self._policies.values() if not isinstance(p, BuiltInPolicy)]

    def _add(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise ValueError(
                "a policy must be a Policy, such as RatePolicy({'batch': 10}), "
                f"got {validate.shown(policy)}"
            )
        name = policy.name
        if not isinstance(name, str) or not name:
            raise ValueError(f"a policy needs a name, got {validate.shown(name)}: set `name`")
        if name in _RESERVED and not isinstance(policy, BuiltInPolicy):
            raise ValueError(f"{name!r} is the name of a built-in policy: call yours otherwise")
        if name in self._policies:
            raise ValueError(f"there is a policy {name!r} already: remove_policy() it first")
        self._policies[name] = policy
