"""Network trouble for a benchmark of one machine: everything runs once more inside a network
namespace of its own, whose loopback `tc netem` makes slow and lossy. Nothing of the machine is
changed, and nothing is left: the namespace goes with its last process."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

from loco_redis.cli._errors import Refused

#: Says to the command inside that it is there.
_INSIDE = "LOCO_BENCH_NETEM"
_TOOLS = ("unshare", "ip", "tc")


def enter(netem: str) -> None:
    """Replace this process by the same command inside such a namespace; return if it is there.

    Raises:
        Refused: `netem` is not what `tc` understands, or namespaces are not allowed here.
    """
    if os.environ.get(_INSIDE) == netem:
        return
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        raise Refused(f"--netem needs {missing[0]} (Debian: iproute2, util-linux): not found")
    unshare = ["unshare", "--net"]
    if os.geteuid() != 0:
        unshare.append("--map-root-user")
    try:
        words = shlex.split(netem)
    except ValueError as error:
        raise Refused(f"--netem {netem!r}: {error}") from None
    prepare = 'ip link set lo up && tc qdisc add dev lo root netem "$@"'  # $@: the words of netem
    tried = subprocess.run(
        [*unshare, "sh", "-c", prepare, "sh", *words], capture_output=True, text=True
    )
    if tried.returncode:
        raise Refused(f"--netem {netem!r} is not possible here: {_reason(tried)}")
    again = [sys.executable, "-m", "loco_redis.cli", *sys.argv[1:]]
    script = f"{prepare} && exec {shlex.join(again)}"
    os.environ[_INSIDE] = netem
    sys.stdout.flush()
    os.execvp("unshare", [*unshare, "sh", "-c", script, "sh", *words])


def _reason(tried: subprocess.CompletedProcess[str]) -> str:
    said = (tried.stderr.strip() or f"exit status {tried.returncode}").splitlines()[0]
    if "qdisc kind is unknown" in said:
        return "this kernel has no netem (its module sch_netem)"
    return said.removeprefix("Error: ")
