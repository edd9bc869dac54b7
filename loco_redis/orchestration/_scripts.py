"""The texts of the scripts of `orchestration/lua`, each part's in a folder of its own."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from loco_redis import _scripts as core


@cache
def source(part: str, script: str, **replaced: str) -> str:
    """A script in which `--@include x` is the part's file x, or the one that `replaced` names for
    it, and `--@script x` the whole of the core's script x."""
    folder = resources.files("loco_redis.orchestration") / "lua" / part

    def included(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind == "script":
            return core.load(name)
        return (folder / f"{replaced.get(name, name)}.lua").read_text("utf-8")

    text = (folder / f"{script}.lua").read_text("utf-8")
    text = re.sub(r"^ *--@(include|script) (\w+)\n", included, text, flags=re.MULTILINE)
    return re.sub(r"\bK\.(\w+)", core._key, text)
