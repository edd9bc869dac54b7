"""benchmarks/hosts.sh: hosts in network namespaces, one of which is cut off and comes back."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "hosts.sh"
SKIPPED = 77
OF_A_RUN = re.compile(r"(loco-|lb)[0-9a-f]{6}\b")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("ip") is None or shutil.which("bash") is None,
    reason="needs Linux, ip (iproute2) and bash",
)


def command(*options: str) -> list[str]:
    return ["bash", str(SCRIPT), "--python", sys.executable, *options]


def run(*options: str, timeout: float = 100) -> tuple[int, str]:
    done = subprocess.run(
        command(*options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip())
    return done.returncode, done.stdout


def network(run_id: str) -> tuple[list[str], list[str]]:
    """Names of all namespaces, and of all devices of this one, without those of other runs, which
    other tests make meanwhile."""
    found = _first_words("ip", "netns"), _first_words("ip", "-brief", "link")
    namespaces, devices = (
        [name for name in names if run_id in name or not OF_A_RUN.match(name)] for names in found
    )
    return namespaces, devices


def _first_words(*command: str) -> list[str]:
    said = subprocess.check_output(command, text=True)
    return sorted(line.split()[0] for line in said.splitlines())


@pytest.fixture
def run_id() -> str:
    return uuid.uuid4().hex[:6]


@pytest.fixture
def foreign(run_id: str) -> Iterator[str]:
    """A namespace that somebody else has made, named as one of the run would be."""
    name = f"loco-{run_id}-h2"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no namespaces here: {made.stderr.strip()}")
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.slow
def test_a_host_is_cut_off_and_comes_back(tmp_path: Path, run_id: str) -> None:
    """Nothing above capacity, its leases reclaimed in time, back by itself; nothing is left."""
    before = network(run_id)
    status, said = run("--quick", "--out", str(tmp_path), "--run-id", run_id)
    assert status == 0, said + "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert "h1 is cut off" in said
    assert "all as promised" in said
    assert "FAILED" not in said
    assert (tmp_path / "report.md").exists()
    assert network(run_id) == before


def test_it_cleans_up_when_it_is_interrupted(tmp_path: Path, run_id: str) -> None:
    before = network(run_id)
    script = subprocess.Popen(
        command("--quick", "--out", str(tmp_path), "--run-id", run_id), stdout=subprocess.PIPE
    )
    try:
        # Or it has ended: it was skipped.
        wait_until(lambda: (tmp_path / "h3.log").exists() or script.poll() is not None, timeout=30)
        script.send_signal(signal.SIGTERM)
        said = script.communicate(timeout=30)[0].decode()
    finally:
        script.kill()
    if script.returncode == SKIPPED:
        pytest.skip(said.strip())
    assert script.returncode == 128 + signal.SIGTERM
    assert network(run_id) == before
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, run_id)]


def test_what_it_has_not_made_is_left_alone(foreign: str, run_id: str) -> None:
    status, said = run("--quick", "--run-id", run_id)
    assert (status, said) == (
        2,
        f"hosts.sh: there is something named like this run already: {foreign}\n",
    )
    assert foreign in network(run_id)[0]


def test_without_root_it_says_so_in_one_line() -> None:
    words = command("--quick")
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv (util-linux) to be somebody else than root")
        # It may still read the interpreter, wherever that is.
        caps = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        words = ["setpriv", "--reuid", "65534", "--clear-groups", *caps, *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (
        SKIPPED,
        "hosts.sh: skipped: network namespaces need root\n",
        "",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hosts", "1"], "HOSTS=1: 2 to 50, one is cut off"),
        (["--lease", "5s"], "LEASE=5s is not a number"),
        (["--cut", "50"], "a cut of 50 s is too long for 60 s"),
        (["--run-id", "../x"], "RUN_ID=../x is not 1 to 6 letters or digits"),
        (["--capacity"], "--capacity needs a value"),
        (["--what"], "what is --what? See --help"),
    ],
)
def test_bad_options_are_refused(options: list[str], words: str) -> None:
    assert run(*options) == (2, f"hosts.sh: {words}\n")


def test_help() -> None:
    status, said = run("--help")
    assert status == 0
    assert "Exit status: 0 all as promised, 1 not so" in said


def _mentions(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes()
    except OSError:
        return False
