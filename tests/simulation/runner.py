"""Runs of many seeds on several cores."""

from __future__ import annotations

import faulthandler
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.plan import plan_of
from tests.simulation.world import Result, run

_STUCK = 60  # real seconds: a run that takes so long hangs outside of the virtual clock
_CHUNK = 20


def run_seeds(seeds: Iterable[int]) -> list[tuple[int, Result]]:
    results = []
    for seed in seeds:
        faulthandler.dump_traceback_later(_STUCK, exit=True)
        results.append((seed, run(plan_of(seed))))
        faulthandler.cancel_dump_traceback_later()
    return results


def run_all(seeds: range, jobs: int) -> Iterator[tuple[int, Result]]:
    """In the order in which they end."""
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit what the tests have open
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        parts = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
        futures = [pool.submit(run_seeds, part) for part in parts]
        try:
            for future in as_completed(futures):
                yield from future.result()
        finally:
            for future in futures:
                future.cancel()
