"""Breadth first through every state of a small world; the first thing that is wrong has the
shortest story."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass

from loco_redis.testing.model import step
from tests.exhaustive.client import Violation
from tests.exhaustive.server import Server, Step
from tests.exhaustive.world import CRASH, DROP, DUPLICATE, Scene, World

ALL_FAULTS = CRASH | DROP | DUPLICATE
#: For each set of faults a bit for each that contains it.
_CONTAINING = [
    sum(1 << more for more in range(ALL_FAULTS + 1) if more & faults == faults)
    for faults in range(ALL_FAULTS + 1)
]


class Counterexample(AssertionError):
    """`what` is wrong, at the end of `trace`: the shortest way there, one line for each event."""

    def __init__(self, what: str, trace: list[str]) -> None:
        lines = [f"{number:2}. {text}" for number, text in enumerate(trace, 1)]
        super().__init__("\n".join((*lines, f"  => {what}")))
        self.what, self.trace = what, trace


@dataclass(frozen=True)
class Report:
    """What a search has gone through. `depth`: so many things happen at most before a state that
    is new; `model_states` and `scripts` are the different states and steps of the model alone."""

    capacity: int
    states: int
    transitions: int
    depth: int
    ends: int
    model_states: int
    scripts: int
    seconds: float


def search(
    capacity: int,
    requests: tuple[int, int] = (2, 1),
    faults: int = ALL_FAULTS,
    do: Step = step,
    polls: bool = True,
) -> Report:
    """Go through all states; raises Counterexample."""
    began = time.process_time()
    found = _Search(Scene(Server(capacity, do), requests, polls))
    found.explore(faults)
    found.check_liveness()
    server = found.scene.server
    return Report(
        capacity=capacity,
        states=len(found.worlds),
        transitions=found.transitions,
        depth=found.depths[-1],
        ends=len(found.ends),
        model_states=len(server.states),
        scripts=server.scripts,
        seconds=time.process_time() - began,
    )


class _Search:
    """A state is looked at again only with faults to come that it was not looked at with before:
    what can become of it with some of them can with all of them."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.worlds: list[World] = [scene.begin]
        self.ends: list[int] = []
        self.depths, self._parents = array("i", [0]), array("i", [-1])
        self.transitions = 0
        self._numbers = {scene.begin: 0}
        self._looked = bytearray(1)
        self._from, self._to = array("i"), array("i")  # the edges of what is due

    def explore(self, faults: int) -> None:
        """Every state."""
        queue = [(0, faults)]
        for number, faults in queue:  # it grows
            try:
                self._expand(number, faults, queue)
            except AssertionError as error:
                raise Counterexample(str(error), self._trace(number)) from error

    def _expand(self, number: int, faults: int, queue: list[tuple[int, int]]) -> None:
        scene, world, numbers = self.scene, self.worlds[number], self._numbers
        scene.check(world)
        is_due = False
        for _, due, fault, next_world in scene.moves(world, faults):
            self.transitions += 1
            after = numbers.get(next_world)
            if after is None:
                after = numbers[next_world] = len(self.worlds)
                self.worlds.append(next_world)
                self._looked.append(0)
                self._parents.append(number)
                self.depths.append(self.depths[number] + 1)
            left = faults & ~fault
            if not self._looked[after] & _CONTAINING[left]:
                self._looked[after] |= 1 << left
                queue.append((after, left))
            if due:
                is_due = True
                self._from.append(number)
                self._to.append(after)
        if scene.is_end(world):
            scene.check_end(world)
            self.ends.append(number)
        elif not is_due:
            raise Violation("nothing more happens, and it is not the end")

    def check_liveness(self) -> None:
        """From every state the end can be reached by what happens by itself: no fault and no
        withdrawal is needed."""
        reaches = bytearray(len(self.worlds))
        for number in self.ends:
            reaches[number] = 1
        changed = True
        while changed:
            changed = False
            for at in range(len(self._from) - 1, -1, -1):
                if reaches[self._to[at]] and not reaches[self._from[at]]:
                    reaches[self._from[at]] = changed = True
        lost = reaches.find(0)
        if lost >= 0:
            raise Counterexample("the end cannot be reached any more", self._trace(lost))

    def _trace(self, number: int) -> list[str]:
        ways: list[str] = []
        while (parent := self._parents[number]) >= 0:
            moves = self.scene.moves(self.worlds[parent], ALL_FAULTS)
            ways.append(next(m.text for m in moves if m.world == self.worlds[number]))
            number = parent
        return ways[::-1]
