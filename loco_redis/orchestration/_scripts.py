"""The scripts of `orchestration/lua`, each part's in a folder of its own, and how they are run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from loco_redis import _scripts as core
from loco_redis._endpoint import AsyncClient
from loco_redis._library import Way

_FOLDER = resources.files("loco_redis.orchestration") / "lua"
# `route_weighted` is `route` with the file `choose_weighted` in it.
_STRATEGIES = sorted(
    file.name.removeprefix("choose_").removesuffix(".lua")
    for file in (_FOLDER / "routing").iterdir()
    if file.name.startswith("choose_")
)
#: By part. All names are distinct, also from the core's verbs.
SCRIPTS = {
    "pools": ("gather", "scatter"),
    "plans": (
        *("plan_open", "plan_claim", "plan_finish", "plan_renew"),
        *("plan_cancel", "plan_enlist", "plan_status"),
    ),
    "routing": (
        *("look_at_routes", "renew_routes", "report"),
        *(f"route_{strategy}" for strategy in _STRATEGIES),
    ),
    "contexts": ("context_write",),
}
_PARTS = {script: part for part, scripts in SCRIPTS.items() for script in scripts}


@cache
def source(script: str) -> str:
    """A script in which `--@include x` is the file x of the same folder, and `--@script x` the
    whole of the core's script x."""
    folder = _FOLDER / _PARTS[script]
    strategy = script.removeprefix("route_")
    file = script if strategy == script else "route"

    def included(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind == "script":
            return core.load(name)
        name = f"choose_{strategy}" if name == "choose" else name
        return (folder / f"{name}.lua").read_text("utf-8")

    text = (folder / f"{file}.lua").read_text("utf-8")
    text = re.sub(r"^ *--@(include|script) (\w+)\n", included, text, flags=re.MULTILINE)
    return re.sub(r"\bK\.(\w+)", core._key, text)


def sources() -> dict[str, str]:
    """All scripts by name."""
    return {script: source(script) for script in _PARTS}


class Runner:
    """Runs scripts by a client, as its endpoint says: sent, or called in the library."""

    def __init__(self, client: AsyncClient, way: Way) -> None:
        self._client: Any = client  # it is typed in parts only
        self._way = way
        self._registered: dict[str, Any] = {}

    async def run(self, script: str, keys: Sequence[Any], args: Iterable[Any]) -> Any:
        """The raw reply."""
        if self._way == "functions":
            called = core.library().call(script)
            return await self._client.execute_command(*called, len(keys), *keys, *args)
        if script not in self._registered:
            self._registered[script] = self._client.register_script(source(script))
        return await self._registered[script](keys=keys, args=[*args])
