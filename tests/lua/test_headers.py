"""The scripts' headers, the typed methods and the key-space document say the same."""

from __future__ import annotations

import inspect
import re
from importlib import resources

import pytest

from loco_redis._keys import SUFFIXES
from loco_redis._replies import Status
from loco_redis._scripts import VERBS, Scripts

LUA = resources.files("loco_redis") / "lua"
HEADER = ("ARGV", "Reply", "Statuses", "Cost", "Keeps")
# What the typed methods name otherwise: the rid is built of session and sequence.
TYPED = {"rid": "sequence", "charge_weight": "charge"}
SAMPLES = {"int": 1, "str": "a", "bytes": b"a", "bool": True, "float | None": 0.5, "int | None": 1}


def _text(name: str) -> str:
    return (LUA / name).read_text("utf-8")


def _header(script: str) -> dict[str, str]:
    lines = [line[3:] for line in _text(f"{script}.lua").splitlines() if line.startswith("-- ")]
    return dict(line.split(": ", 1) for line in lines[: len(HEADER) + 1])


def _argv(script: str) -> list[str]:
    """The names that ARGV is bound to; `...` where all of it has a name."""
    text = _text(f"{script}.lua")
    bound = re.search(r"^local (.*) = unpack\(ARGV\)$", text, re.MULTILINE)
    assert bound
    rest = re.search(r"^local (\w+),.* = ARGV,", text, re.MULTILINE)
    return bound[1].lower().split(", ") + ([f"{rest[1]}..."] if rest else [])


def _statuses(script: str) -> set[str]:
    names = "|".join(status.name for status in Status)
    return set(re.findall(rf"\b({names})\b", _header(script)["Statuses"]))


def _parameters(script: str) -> dict[str, inspect.Parameter]:
    method = getattr(Scripts, script)
    return {n: p for n, p in inspect.signature(method).parameters.items() if n != "self"}


@pytest.mark.parametrize("script", VERBS)
def test_the_header_is_complete_and_names_the_arguments(script: str) -> None:
    """Every script opens with its purpose and five facts; its ARGV line binds just those names."""
    assert list(_header(script)) == [script, *HEADER]
    assert re.sub(r"\(.*?\)", "", _header(script)["ARGV"]).split() == _argv(script)


@pytest.mark.parametrize("script", [verb for verb in VERBS if verb != "several"])
def test_the_typed_method_takes_what_the_script_reads(script: str) -> None:
    """A method's parameters are the script's ARGV, in its order, and it sends as many values."""
    implied = {"channel", "schema"} if "session" in _parameters(script) else {"channel", "session"}
    parameters = _parameters(script)
    names = [TYPED.get(name, name) for name in _argv(script) if name not in implied]
    assert list(parameters) == names
    samples = {n: SAMPLES[str(p.annotation)] for n, p in parameters.items()}
    command = getattr(Scripts("sample"), script)(**samples)
    assert len(command.args) == len(_argv(script))


def test_several_is_given_what_its_steps_are_given() -> None:
    """The typed method takes commands of one session: the floor that suits all, the highest token
    seen, then each one's verb and own arguments."""
    scripts = Scripts("sample")
    first = scripts.release(session="s", floor=3, seen=9, sequence=1, token=7, charge=True)
    second = scripts.acquire(session="s", floor=4, seen=8, sequence=5, agent=b"a", weight=None)
    command = scripts.several([first, second])
    assert command.args[:4] == (scripts.keys.channel, "s", 3, 9)
    assert command.args[4:] == ("release", *first.args[4:], "acquire", *second.args[4:])
    assert _argv("several") == ["channel", "session", "floor", "seen", "steps..."]
    for verb in ("acquire", "release"):
        assert _argv(verb)[:5] == ["channel", "session", "floor", "seen", "rid"]


@pytest.mark.parametrize("script", VERBS)
def test_a_script_replies_with_no_status_that_its_header_hides(script: str) -> None:
    """The statuses that a verb's own lines mention are those of its header; where another script
    does the same, most of them are in an include."""
    names = "|".join(status.name for status in Status)
    body = _text(f"{script}.lua").split("unpack(ARGV)", 1)[1]
    body += "".join(
        _text(f"include/{name}.lua") for name in re.findall(r"include (\w+_slot)$", body, re.M)
    )
    for name in ("asked_before", "answer"):
        if f"include {name}" in body:
            body += _text(f"include/{name}.lua")
    code = re.sub(r"--.*", "", body)
    assert set(re.findall(rf"\b({names})\b", code)) == _statuses(script)


def test_statuses_are_the_same_in_lua_and_python() -> None:
    """`include/status.lua` gives every status the number of its Python twin, and no other."""
    pairs: dict[str, int] = {}
    for names, values in re.findall(r"^local (.*) = (.*)$", _text("include/status.lua"), re.M):
        pairs |= dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    assert pairs == {status.name: status.value for status in Status}


def test_keys_are_the_same_in_lua_python_and_the_document() -> None:
    """The scripts use the keys that `_keys.py` and README.md list, both in one order."""
    files = [*LUA.iterdir(), *(LUA / "include").iterdir()]
    texts = [file.read_text("utf-8") for file in files if file.name.endswith(".lua")]
    assert {name for text in texts for name in re.findall(r"\bK\.(\w+)", text)} == {*SUFFIXES}
    table = _text("README.md").split("## Keys")[1].split("Rows are fields")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.M)) == SUFFIXES


def test_the_document_lists_every_script_with_its_statuses() -> None:
    """The table of scripts in README.md has each verb, with the statuses of its header."""
    table = _text("README.md").split("## Scripts")[1].split("Details that")[0]
    rows = dict(re.findall(r"^\| `(\w+)`.*\| ([^|]*) \|$", table, re.M))
    assert set(rows) == set(VERBS)
    for script, statuses in rows.items():
        assert set(statuses.split(", ")) == _statuses(script), script


@pytest.mark.parametrize("script", VERBS)
def test_after_the_header_only_names_are_used(script: str) -> None:
    """Neither KEYS nor ARGV is indexed: keys and arguments go by their names."""
    used = re.findall(r"--@include (\w+)", _text(f"{script}.lua"))
    includes = (f"include/{name}.lua" for name in used)
    for text in map(_text, (f"{script}.lua", *includes)):
        assert "KEYS[" not in text
        assert "ARGV[" not in text


def test_no_include_is_without_use() -> None:
    """Each file of include/ ends up in some script."""
    used = set()
    for script in VERBS:
        queue = re.findall(r"--@include (\w+)", _text(f"{script}.lua"))
        while queue:
            name = queue.pop()
            if name not in used:
                used.add(name)
                queue += re.findall(r"--@include (\w+)", _text(f"include/{name}.lua"))
    files = {f.name.removesuffix(".lua") for f in (LUA / "include").iterdir()}
    assert used == files


@pytest.mark.parametrize("script", VERBS)
def test_every_server_compiles_the_script(script: str, any_server) -> None:
    """A script loads on each supported server under the digest that the client computes."""
    scripts = Scripts("sample")
    loaded = any_server.client.script_load(scripts.source(script))
    assert (loaded.decode() if isinstance(loaded, bytes) else loaded) == scripts.sha(script)
