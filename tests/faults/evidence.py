"""What callers under load saw, and what must be true of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from loco_redis.testing.dump import Dump


class Passage(NamedTuple):
    """One acquire that got a slot; moments by the clock that all processes share."""

    asked: float
    began: float
    ended: float
    slot: int
    token: int
    session: str
    lost: bool  # and its holder was told so


class Failure(NamedTuple):
    """One acquire that ended by an error of ours."""

    asked: float
    raised: float
    error: str


@dataclass
class Evidence:
    """What callers saw."""

    passages: list[Passage] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)  # at the end

    @property
    def lost(self) -> list[Passage]:
        return [passage for passage in self.passages if passage.lost]

    def check_tokens(self) -> None:
        """Tokens are unique, and whoever asked when another's body had begun has a higher one."""
        tokens = [passage.token for passage in self.passages]
        assert len(tokens) == len(set(tokens)), "a token was given twice"
        begun = iter(sorted(self.passages, key=lambda passage: passage.began))
        highest, earlier = 0, next(begun, None)
        for passage in sorted(self.passages):
            while earlier is not None and earlier.began <= passage.asked:
                highest, earlier = max(highest, earlier.token), next(begun, None)
            assert passage.token > highest, f"{passage} was granted after token {highest}"

    def overlap(self) -> float:
        """The longest time for which two bodies had the same slot."""
        worst, until = 0.0, dict[int, float]()
        for passage in sorted(self.passages, key=lambda passage: passage.began):
            before = until.get(passage.slot, 0.0)
            worst = max(worst, min(before, passage.ended) - passage.began)
            until[passage.slot] = max(before, passage.ended)
        return worst

    def first_after(self, moment: float) -> float:
        """Seconds from `moment` to the first body that began then."""
        return min(p.began for p in self.passages if p.began > moment) - moment

    def under_way(self, moment: float) -> int:
        """Calls that had not ended at `moment`."""
        calls = [(p.asked, p.ended) for p in self.passages]
        calls += [(f.asked, f.raised) for f in self.failures]
        return sum(asked <= moment < ended for asked, ended in calls)

    @property
    def outcome(self) -> str:
        """In words."""
        return (
            f"{len(self.lost)} bodies lost, {len(self.failures)} calls refused, slots doubly used "
            f"for {max(0.0, self.overlap()):.2f} s at most"
        )

    def check_kept(self, state: Dump) -> None:
        """Nothing was lost, given twice, or refused; Redis and the callers count the same."""
        self.check_tokens()
        assert self.failures == []
        assert self.lost == []
        assert self.overlap() <= 0.0
        counted = [state.number(name) for name in ("granted", "released", "reclaimed")]
        assert counted == [len(self.passages), len(self.passages), 0]
