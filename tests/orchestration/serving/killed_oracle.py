"""Judges from outside what became of tasks whose workers were killed: from journals, from when
each process was killed, and from the fates that `result` told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

Fate = Literal["done", "dead", "lost", "unfinished"]


@dataclass
class Run:
    """One time that a handler was called; `ended` None and `kind` B where it did not come to its
    end."""

    process: int
    lane: str
    task: str
    token: int
    began: float
    kind: str = "B"
    is_last: bool = False  # of its lane: whether Redis took its outcome is not known


@dataclass
class Process:
    """`killed` is when SIGKILL was sent; None: it ended by itself."""

    number: int
    runs: list[Run]
    killed: float | None = None


@dataclass
class Verdict:
    """Counts, and in `wrong` a line for each thing that must not be.

    Attributes:
        repeats: runs after one whose process was killed; `redone` are those where the work had
            ended and only its outcome was not told.
        retries: runs after one that failed.
        delays: seconds from a kill to the repeat of what it interrupted.
    """

    tasks: int
    runs: int
    kills: int
    fates: Counter[Fate]
    repeats: int = 0
    redone: int = 0
    retries: int = 0
    delays: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def read(path: Path, number: int, killed: float | None = None) -> Process:
    """What one process has done, `killed` being when somebody else killed it. A line without an
    end was cut by its death."""
    runs, open_runs = list[Run](), dict[str, Run]()
    text = path.read_text() if path.exists() else ""
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        kind, lane, task, token, moment = line.split()
        if kind == "K":
            killed = float(moment)
        elif kind == "B":
            open_runs[lane] = Run(number, lane, task, int(token), float(moment))
            runs.append(open_runs[lane])
        else:
            assert (open_runs[lane].task, open_runs[lane].token) == (task, int(token)), line
            open_runs[lane].kind = kind
    for run in open_runs.values():
        run.is_last = True
    return Process(number, runs, killed)


def judge(
    poisoned: Mapping[str, bool],
    max_attempts: int,
    processes: Sequence[Process],
    fates: Mapping[str, Fate],
) -> Verdict:
    """`poisoned`: all tasks that were submitted, and whether they fail each time."""
    killed = {process.number: process.killed for process in processes}
    runs = [run for process in processes for run in process.runs]
    kills = sum(moment is not None for moment in killed.values())
    verdict = Verdict(len(poisoned), len(runs), kills, Counter(fates.values()))
    by_task = defaultdict[str, list[Run]](list)
    for run in sorted(runs, key=lambda run: run.began):
        by_task[run.task].append(run)
    for task in by_task.keys() - poisoned.keys():
        verdict.wrong.append(f"{task} was run and never submitted")
    for token, times in Counter(run.token for run in runs).items():
        if times > 1:
            verdict.wrong.append(f"token {token} was given {times} times")
    for task, is_poison in poisoned.items():
        verdict.wrong += _fate(task, is_poison, max_attempts, by_task[task], fates[task], killed)
        for before, after in pairwise(by_task[task]):
            _repeat(before, after, killed, verdict)
    return verdict


def _fate(
    task: str,
    is_poison: bool,
    max_attempts: int,
    runs: Sequence[Run],
    fate: Fate,
    killed: Mapping[int, float | None],
) -> Iterator[str]:
    if fate == "done":
        if not any(run.kind == "E" for run in runs):
            yield f"{task} is called done, and nobody has done it"
    elif fate == "dead":
        # One that was killed before it began took an attempt and left no line.
        if len(runs) > max_attempts:
            yield f"{task} had {len(runs)} of {max_attempts} attempts"
        if not is_poison and any(killed[run.process] is None for run in runs):
            yield f"{task} is dead, and one of its holders was alive"
    else:
        yield f"{task} is {fate}"


def _repeat(before: Run, after: Run, killed: Mapping[int, float | None], verdict: Verdict) -> None:
    """Whether a task that was run before may be run again."""
    told = f"{before.task} was run with tokens {before.token} and {after.token}"
    if after.token <= before.token:
        verdict.wrong.append(f"{told}: they must rise")
    if before.kind == "F":
        verdict.retries += 1
        return
    moment = killed[before.process]
    if moment is None:
        verdict.wrong.append(f"{told}, but process {before.process} was not killed")
    elif not before.is_last:
        verdict.wrong.append(f"{told}, but its outcome had been told")
    elif after.began < moment:
        verdict.wrong.append(f"{told}, before the first was killed")
    else:
        verdict.repeats += 1
        verdict.redone += before.kind == "E"
        verdict.delays.append(after.began - moment)
