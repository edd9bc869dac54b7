"""Help, versions, and one-line errors of the command line."""

from __future__ import annotations

import importlib.metadata

import pytest

from tests.cli.calls import invoke


@pytest.mark.parametrize("command", ["demo", "replay", "version"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_each_command_has_help_with_an_example(command: str, option: str) -> None:
    """The example is a call of that very command."""
    result = invoke(command, option)
    assert result.exit_code == 0
    assert f"Example:  loco-redis {command}" in result.output
    assert command in invoke("-h").output


def test_version() -> None:
    """By command and by option."""
    expected = importlib.metadata.version("loco-redis")
    assert f"loco-redis {expected}\n" in invoke("version").output
    assert invoke("--version").output == f"loco-redis {expected}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["demo", "--bogus"], "No such option"),
        (["demo", "--seconds", "nan"], "nan is not in the range 5 to 3600"),
        (["demo", "--seconds", "1"], "1 is not in the range 5 to 3600"),
        (["demo", "--redis", "http://u:secret@host"], "unknown scheme"),
        (["replay"], "Missing argument 'TRACE'"),
        (["replay", "/no/such/file"], "does not exist"),
        (["replay", __file__, "--workers", "0"], "0 is not in the range"),
        (["replay", __file__, "--agents", "2"], "--agents 2 is less than --workers 3"),
        (["replay", __file__, "--capacity", "0"], "0 is not in the range"),
        (["replay", __file__, "--speed", "0"], "0 is not in the range 0.001 to"),
        (["replay", __file__, "--speed", "inf"], "inf is not in the range"),
        (["replay", __file__, "--limit", "0"], "0 is not in the range"),
        (["replay", __file__, "--optimize-for", "fun"], "'fun' is not one of"),
        (["replay", __file__], "line 1: no column TIMESTAMP"),
        (["demo", "--redis", "redis://u:secret@127.0.0.1:1"], "no Redis at redis://***@127"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    """It says what is wrong, shows no credentials, and ends by status 2."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
    assert "secret" not in result.output
