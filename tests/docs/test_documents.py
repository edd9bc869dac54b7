"""The code in the documents runs, and what they link to exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loco_redis import governance
from loco_redis.testing.fake_provider import FakeProvider

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("loco_redis/**/*.md")]
)
FRAMEWORKS = ROOT / "docs" / "adapters"
BLOCKS = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}-{number}")
    for path in DOCUMENTS
    if path.parent != FRAMEWORKS  # their environments run these: `make test-adapters`
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
]


@pytest.mark.parametrize("code", BLOCKS)
def test_code_in_a_document_runs(code: str, redis_url: str) -> None:
    """Every Python block is a program that ends well, as it stands; LLM calls are answered by a
    fake provider."""
    with FakeProvider() as provider:
        run_program(code, {**provider.environment, "LOCO_REDIS_URL": redis_url})


# Of an SDK, for a model that is to be switched off some day.
OLD_MODEL = "ignore:The model:DeprecationWarning"


def run_program(code: str, environment: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-W", OLD_MODEL, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_links_to_files_that_exist(path: Path) -> None:
    """Relative links lead somewhere."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_into_a_document_names_one_of_its_headings(path: Path) -> None:
    """What follows the # is a heading's text in small letters, with hyphens for spaces."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text("utf-8")):
        text = (path.parent / target if target else path).read_text("utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", line).lower().replace(" ", "-") for line in headings}
        assert anchor in slugs, f"{target}#{anchor}"


@pytest.mark.parametrize("sdk", ["anthropic", "openai"])
def test_the_quick_start_of_an_sdk_is_short(sdk: str) -> None:
    """The README has one for each, of less than 12 lines."""
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f"import {sdk}\n" in block]
    assert len([line for line in block.splitlines() if line]) < 12


def test_each_part_of_governance_has_an_example() -> None:
    """A part stands in the table, has a section with a program, and no public name is left out."""
    text = (ROOT / "docs/governance.md").read_text("utf-8")
    parts = set(re.findall(r"^\| \[[^]]+\]\(#([^)]+)\)", text, re.MULTILINE))
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    shown = {s.partition("\n")[0].lower().replace(" ", "-") for s in sections if "```python" in s}
    assert parts == shown
    results = {"BudgetAlert", "TenantStats", "TrustStats"}  # what methods return
    assert [name for name in governance.__all__ if name not in text and name not in results] == []


def test_the_readme_has_the_two_commands_that_the_makefile_offers() -> None:
    """`make demo` and `make test` stand in the README and are targets."""
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"    make {target} " in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_page_of_each_framework_is_run_in_its_environment() -> None:
    """A test of a group asks for it by its name."""
    tests = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/frameworks/*/test_*.py"))
    pages = [path.stem for path in FRAMEWORKS.glob("*.md")]
    assert len(pages) > 10
    assert [page for page in pages if f'blocks("{page}")' not in tests] == []
