"""`loco-redis pause` and `loco-redis resume`."""

from __future__ import annotations

from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.waiting import wait_until


def test_nothing_is_granted_until_somebody_resumes(fleet_at_work: Fleet) -> None:
    result = invoke("pause", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    assert result.output == (
        "llm_api is paused: 2 held, 4 waiting; resume with `loco-redis resume -n llm_api`\n"
    )
    fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
    now = fleet_at_work.observer.snapshot()
    assert (now.paused, now.held, now.waiting) == (True, 1, 4)
    result = invoke("resume", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    assert result.output == "llm_api grants again: 2 of 2 held, 3 waiting\n"
    wait_until(lambda: not fleet_at_work.observer.snapshot().paused)


def test_doing_it_twice_changes_nothing(fleet_at_work: Fleet) -> None:
    for command, text in [("resume", "was not paused"), ("pause", "is paused")]:
        assert text in invoke(command, "-u", fleet_at_work.url).output
    version = fleet_at_work.observer.snapshot().version
    result = invoke("pause", "-u", fleet_at_work.url)
    assert result.exit_code == 0
    assert "was paused already" in result.output
    assert fleet_at_work.observer.snapshot().version == version
