"""A host that `bench run` itself has started, as a process of this machine."""

from __future__ import annotations

import contextlib

from loco_redis._endpoint import resolve
from loco_redis.cli.bench._host import Host, RunGoneError
from loco_redis.cli.play._inside import Parent, run

_PATIENCE = 30.0


async def work(parent: Parent) -> None:
    """Told the run and its own name; takes part until the end."""
    told = await parent.told()
    host = Host(resolve(None), told["run"], told["name"], lambda text: None)
    # The command that has broken the run off says why itself.
    with contextlib.suppress(RunGoneError):
        await host.serve(_PATIENCE)


if __name__ == "__main__":
    run(work)
