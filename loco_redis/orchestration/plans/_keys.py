"""The only place where a key of a plan is spelled. All carry its id as hash tag, so they share one
cluster slot."""

from __future__ import annotations

import re

from loco_redis._validate import shown

#: hash: digest definition name inputs ttl state failed fence created ended left
#: | hash: number of a step -> its row (lua/include/plan_rows.lua)
#: | hash: number -> mode, retries, numbers of those that depend on it
#: | zset: number -> when it may be claimed, in us
#: | hashes: number -> JSON; number -> text
SUFFIXES = ("plan", "steps", "graph", "due", "results", "errors")

#: Of all plans: id -> when its keys are gone (seconds; +inf: it has not ended). Nobody's own.
REGISTRY = b"loco:plans"

_ID = "[A-Za-z0-9_.:-]{1,128}"


class PlanKeys:
    """The key names of the plan `plan_id`.

    Raises:
        ValueError: an id that cannot be part of a key's name.
    """

    def __init__(self, plan_id: str) -> None:
        if not isinstance(plan_id, str) or not re.fullmatch(_ID, plan_id):
            raise ValueError(
                f"plan_id must be 1 to 128 characters out of A-Z a-z 0-9 _ . : -, "
                f"got {shown(plan_id)}"
            )
        prefix = f"loco:{{plan:{plan_id}}}:"
        self.all = tuple((prefix + suffix).encode() for suffix in SUFFIXES)
        self.plan, self.results = self.all[0], self.all[4]
        #: Where it is said that a step has ended.
        self.channel = (prefix + "hint").encode()
