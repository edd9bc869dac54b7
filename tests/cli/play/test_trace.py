"""Reading a recorded trace: what its rows mean, and what is refused, by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from loco_redis.cli.play._trace import Recorded, TraceError, deal, read

GOOD = "2023-11-16 18:17:03.9799600,4808,10"


def test_rows_become_requests(write_trace: Callable[..., Path]) -> None:
    """Times are seconds after the first; blank lines and more columns do not matter."""
    path = write_trace(
        "a,2023-11-16 18:17:03.5000000,10, 4808",
        "",
        "b,2023-11-16 18:17:05.0000001,0,3",
        header="\ufeffuser,TIMESTAMP,GeneratedTokens, ContextTokens",
    )
    assert read(path) == [Recorded(0.0, 4808, 10), Recorded(1.5, 3, 0)]


def test_limit_reads_no_further(write_trace: Callable[..., Path]) -> None:
    """What lies behind the limit is not even looked at."""
    assert len(read(write_trace(GOOD, GOOD, "nonsense"), limit=2)) == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("2023-11-16 18:17:04,1", "2 fields where the header has 3"),
        ("2023-11-16 18:17:04,1,2,3", "4 fields where the header has 3"),
        ("yesterday,1,2", "TIMESTAMP 'yesterday' is not a time"),
        ("2023-11-16 18:17:04,-1,2", "ContextTokens '-1' is not a whole number"),
        ("2023-11-16 18:17:04,1,2.5", "GeneratedTokens '2.5' is not a whole number"),
        ("2023-11-16 18:17:04,,2", "ContextTokens '' is not a whole number"),
        ("2023-11-16 18:17:04,1,nan", "GeneratedTokens 'nan' is not a whole number"),
        ("2023-11-16 18:17:04,1,٣", "GeneratedTokens '٣' is not a whole number"),
        ("2023-11-16 18:17:04,1000000000000,2", "more than 10000000"),
        ("2023-11-16 18:17:02,1,2", "earlier than the one before"),
        ("2023-11-16 18:17:04+00:00,1,2", "some have a UTC offset"),
        ("2023-11-16 18:17:04,1,\x00", "is not a whole number|NUL"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(
    write_trace: Callable[..., Path], line: str, complaint: str
) -> None:
    """The message says which line it is and what is wrong with it."""
    with pytest.raises(TraceError, match=f"trace.csv, line 3: .*({complaint})"):
        read(write_trace(GOOD, line, GOOD))


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("TIMESTAMP,ContextTokens", "line 1: no column GeneratedTokens"),
        ("", "line 1: no column TIMESTAMP"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens", "line 1: no requests after the header"),
    ],
)
def test_a_file_without_requests(
    write_trace: Callable[..., Path], header: str, complaint: str
) -> None:
    """A wrong header and an empty file are refused, too."""
    with pytest.raises(TraceError, match=complaint):
        read(write_trace(header=header))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A line that is not UTF-8 is malformed like any other."""
    path = tmp_path / "trace.csv"
    good = GOOD.encode()
    path.write_bytes(b"TIMESTAMP,ContextTokens,GeneratedTokens\n%b\n\xff\xfe,1,2\n" % good)
    with pytest.raises(TraceError, match=r"line 3: TIMESTAMP '\\udcff\\udcfe' is not a time"):
        read(path)


def test_formulas() -> None:
    """Weight, cost and service time follow from the tokens as the help says."""
    long, short = Recorded(0.0, 4000, 100), Recorded(0.0, 10, 0)
    assert (long.weight, long.cost, long.service) == (4.1, 4.4, pytest.approx(6.5))
    assert (short.weight, short.cost, short.service) == (1.0, 0.01, 0.005)


def test_shares_of_the_agents() -> None:
    """Agent k gets a share of 1/k, evenly spread, always dealt the same."""
    owners = deal(1100, 3)
    assert Counter(owners) == {0: 600, 1: 300, 2: 200}
    assert Counter(owners[:11]) == {0: 6, 1: 3, 2: 2}
    assert deal(1100, 3) == owners
