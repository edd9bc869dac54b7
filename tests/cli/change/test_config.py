"""`loco-redis config`: settings are shown and changed, and two operators do not undo each other."""

from __future__ import annotations

import json

from click.testing import Result

from tests.cli.calls import invoke
from tests.cli.change.talking import talk
from tests.cli.commands import loco_redis
from tests.cli.fleets import Fleet


def config(fleet: Fleet, *arguments: str) -> Result:
    return invoke("config", *arguments, "-u", fleet.url)


def test_settings_are_shown(fleet_at_work: Fleet) -> None:
    result = config(fleet_at_work, "get", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["schema"] == 1
    assert found["settings"] == {
        "capacity": 2, "alpha": 0.25, "max_waiters": None, "rpm": 0, "rpm_burst": 0, "tpm": 0,
        "tpm_burst": 0, "adaptive_capacity": False, "auto_tune": False, "events": 1000,
        "paused": False, "lease_ttl": 10.0, "version": 1,
    }  # fmt: skip
    text = config(fleet_at_work, "get").output
    assert "max_waiters         none" in text
    assert "\x1b" not in text


def test_one_setting_is_its_value_alone(fleet_at_work: Fleet) -> None:
    assert config(fleet_at_work, "get", "capacity").output == "2\n"
    assert config(fleet_at_work, "get", "paused").output == "off\n"
    (pair,) = json.loads(config(fleet_at_work, "get", "alpha", "--json").output)["settings"].items()
    assert pair == ("alpha", 0.25)
    result = config(fleet_at_work, "get", "speed")
    assert result.exit_code == 2
    assert "unknown setting 'speed': known are capacity, alpha" in result.output


def test_alpha_that_has_moved_is_told(fleet_at_work: Fleet) -> None:
    """`alpha` is what was set, also while auto_tune moves the one in force."""
    config(fleet_at_work, "set", "auto_tune=on", "--yes")
    fleet_at_work.wait("batch")
    fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
    found = json.loads(config(fleet_at_work, "get", "--json").output)
    assert found["settings"]["alpha"] == 0.25
    assert found["alpha_in_force"] == fleet_at_work.observer.snapshot().alpha != 0.25
    assert f"auto_tune has moved it to {found['alpha_in_force']:g}" in (
        config(fleet_at_work, "get").output
    )


def test_settings_change_at_once(fleet_at_work: Fleet) -> None:
    """Waiters get the new slots before the command ends; nothing of the log is on the terminal."""
    result = config(fleet_at_work, "set", "capacity=4", "max_waiters=50", "rpm=6000", "--yes")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "llm_api, for the whole fleet, at once:",
        "  capacity  2 -> 4",
        "  max_waiters  none -> 50",
        "  rpm  0 -> 6000",
        "  rpm_burst  0 -> 100",
        "done: version 1 -> 2",
    ]
    now = fleet_at_work.observer.snapshot()
    assert (now.capacity, now.max_waiters, now.rpm, now.version) == (4, 50, 6000, 2)
    assert (now.held, now.waiting) == (4, 2)
    assert config(fleet_at_work, "set", "max_waiters=none", "rpm=0", "--yes").exit_code == 0
    now = fleet_at_work.observer.snapshot()
    assert (now.max_waiters, now.rpm) == (None, 0)


def test_what_is_set_so_already_is_left_alone(fleet_at_work: Fleet) -> None:
    result = config(fleet_at_work, "set", "capacity=2")
    assert result.exit_code == 0
    assert result.output == "nothing to change: llm_api is set so already (version 1)\n"


def test_a_warning_is_one_line(fleet_at_work: Fleet) -> None:
    result = config(fleet_at_work, "set", "alpha=0.7", "--yes")
    assert result.exit_code == 0
    assert result.output.splitlines()[0].startswith("warning: alpha=0.7 starves light agents")
    assert result.output.count("starves") == 1


def test_turning_the_log_off_says_what_is_lost(fleet_at_work: Fleet) -> None:
    assert "kept so far are deleted" in config(fleet_at_work, "set", "events=0", "-y").output
    assert fleet_at_work.observer.events() == []


def test_mistakes_change_nothing(fleet_at_work: Fleet) -> None:
    """Also when something else in the same call is right."""
    for arguments, message in [
        (("capacity=9", "capacity=8"), "given twice"),
        (("capacity=9", "speed=1"), "unknown setting 'speed'"),
        (("capacity=-1",), "capacity must be an int from 0 (paused) to 1e9, got -1"),
        (("capacity=9", "tpm_burst=5"), "tpm_burst=5 without tpm"),
        (("capacity=9", "--force", "--if-version", "1"), "contradict each other"),
        ((), "Missing argument"),
    ]:
        result = config(fleet_at_work, "set", *arguments, "--yes")
        assert result.exit_code == 2, (arguments, result.output)
        assert message in result.output
    assert fleet_at_work.observer.snapshot().version == 1


def test_a_typo_makes_no_resource(fleet_at_work: Fleet) -> None:
    result = config(fleet_at_work, "set", "capacity=9", "--yes", "-n", "lm_api")
    assert result.exit_code == 2
    assert "there is no resource 'lm_api'" in result.output
    names = json.loads(invoke("resources", "--json", "-u", fleet_at_work.url).output)["resources"]
    assert [row["name"] for row in names] == ["llm_api"]


def test_nobody_to_ask(fleet_at_work: Fleet) -> None:
    result = config(fleet_at_work, "set", "capacity=9")
    assert result.exit_code == 2
    assert result.output == (
        "Error: this asks before it acts, and there is no terminal: give --yes\n"
    )


def test_another_version_is_a_conflict(fleet_at_work: Fleet) -> None:
    assert config(fleet_at_work, "set", "capacity=3", "-y", "--if-version", "1").exit_code == 0
    result = config(fleet_at_work, "set", "capacity=5", "-y", "--if-version", "1")
    assert result.exit_code == 1
    assert result.output == (
        "Error: version 2 is stored, you saw 1: somebody else changed it; "
        "look again with `loco-redis config get -n llm_api`\n"
    )


def test_two_operators_at_once(fleet_at_work: Fleet) -> None:
    """Both have seen version 1: one changes it, the other is told in a line."""
    base = ("-u", fleet_at_work.url, "--yes", "--if-version", "1")
    commands = [loco_redis("config", "set", f"capacity={n}", *base).start() for n in (3, 5)]
    ended = [(*command.communicate(timeout=60), command.returncode) for command in commands]
    assert sorted(status for *_, status in ended) == [0, 1]
    ((_, refusal, _),) = [one for one in ended if one[2] == 1]
    assert refusal.decode().startswith("Error: version 2 is stored, you saw 1: ")
    assert len(refusal.decode().splitlines()) == 1
    assert fleet_at_work.observer.snapshot().version == 2


def test_a_change_while_it_asks_is_a_conflict(fleet_at_work: Fleet) -> None:
    """Who agreed to 2 -> 9 has not agreed to 3 -> 9; unless by --force."""

    def other() -> None:
        assert config(fleet_at_work, "set", "max_waiters=70", "--yes").exit_code == 0

    call = ("config", "set", "capacity=9", "-u", fleet_at_work.url)
    told = talk("y", *call, meanwhile=other)
    assert "capacity  2 -> 9" in told
    assert "Error: version 2 is stored, you saw 1" in told
    assert told.endswith("exit 1")
    assert fleet_at_work.observer.snapshot().capacity == 2
    config(fleet_at_work, "set", "max_waiters=none", "--yes")
    told = talk("y", *call, "--force", meanwhile=other)
    assert told.endswith("exit 0")
    assert "done: version 3 -> 5" in told
    assert fleet_at_work.observer.snapshot().capacity == 9


def test_no_is_an_answer(fleet_at_work: Fleet) -> None:
    told = talk("n", "config", "set", "capacity=9", "-u", fleet_at_work.url)
    assert "Error: nothing was done" in told
    assert told.endswith("exit 1")
    assert fleet_at_work.observer.snapshot().version == 1
