"""The mutants fit the code as it is; `python -m tests.mutants` runs them all."""

from __future__ import annotations

import re

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.running import Workshop

#: Those that the suite runs for real: one of a script, one of the client.
SAMPLES = ("cancel-leaves-no-tombstone", "grant-taken-twice")
HARMLESS = Mutant(
    "harmless",
    "lua/cancel.lua",
    "leave_tombstone(rid)\n",
    "leave_tombstone(rid) -- as ever\n",
    "nothing is",
    ("tests/lua/test_repeats.py::test_acquire_after_its_cancel_is_finished",),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits(mutant: Mutant) -> None:
    """What it replaces is there once, it changes something, and the tests named for it exist."""
    text = (ROOT / "loco_redis" / mutant.file).read_text("utf-8")
    assert mutant.applied(text) != text
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        source = (ROOT / path).read_text("utf-8")
        function = re.escape(name.partition("[")[0])
        assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE), test


def test_names_are_unique() -> None:
    """A mutant is called by its name."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.slow
def test_samples_are_killed() -> None:
    """Two of them, run as all of them are run: the tests fail with each, and pass without. A third
    that changes nothing survives beside them: no run takes another's failures for its own."""
    samples = [mutant for mutant in MUTANTS if mutant.name in SAMPLES]
    assert len(samples) == len(SAMPLES)
    with Workshop() as workshop:
        plain = workshop.unmutated(test for mutant in samples for test in mutant.tests)
        assert plain.is_clean, plain.output
        harmless, *verdicts = workshop.judge_all([HARMLESS, *samples])
        assert not harmless.is_killed, harmless.output
        for verdict in verdicts:
            assert verdict.is_killed, verdict.output
            assert set(verdict.ran) == set(verdict.mutant.tests), verdict.output
