"""`python -m tests.exhaustive`: go through everything and print what that was."""

from __future__ import annotations

from dataclasses import astuple, fields

from rich.console import Console
from rich.table import Table

from tests.exhaustive.search import Report, search

if __name__ == "__main__":
    table = Table("", title="two sessions, three requests; one crash, one drop, one duplicate")
    reports = [search(capacity) for capacity in (1, 2)]
    for report in reports:
        table.add_column(f"capacity {report.capacity}", justify="right")
    columns = zip(*map(astuple, reports), strict=True)
    for field, values in list(zip(fields(Report), columns, strict=True))[1:]:
        texts = [f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in values]
        table.add_row(field.name.replace("_", " "), *texts)
    Console().print(table)
