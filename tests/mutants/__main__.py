"""`python -m tests.mutants [--only NAME]...`: is each mutant noticed by the tests named for it?"""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.table import Table

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT
from tests.mutants.running import Verdict, Workshop


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="This mutant only; repeat for more.")
def main(only: tuple[str, ...]) -> None:
    """Exit 1 if a mutant survives, or if a test fails without any."""
    mutants = [mutant for mutant in MUTANTS if not only or mutant.name in only]
    if unknown := set(only) - {mutant.name for mutant in MUTANTS}:
        raise click.UsageError(f"no such mutant: {', '.join(sorted(unknown))}")
    if misfits := [misfit for mutant in mutants if (misfit := mutant.misfit(ROOT))]:
        sys.exit("\n".join(misfits))
    console = Console(width=170)
    with Workshop() as workshop:
        plain = workshop.unmutated(test for mutant in mutants for test in mutant.tests)
        if not plain.is_clean:
            console.print(plain.output, markup=False, highlight=False)
            sys.exit("without any mutant these tests must pass")
        verdicts = []
        for verdict in workshop.judge_all(mutants):
            verdicts.append(verdict)
            console.print(_line(verdict), markup=False, highlight=False, soft_wrap=True)
    console.print(_table(verdicts))
    killed = sum(verdict.is_killed for verdict in verdicts)
    click.echo(f"{killed} of {len(verdicts)} killed")
    sys.exit(killed < len(verdicts))


def _line(verdict: Verdict) -> str:
    if verdict.is_killed:
        return f"{verdict.mutant.name}: killed; {verdict.reason[:120]}"
    return f"{verdict.mutant.name}: SURVIVED {', '.join(verdict.survived)}\n{verdict.output}"


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("mutant", "file", "killed by", "seconds")
    for verdict in verdicts:
        mutant = verdict.mutant
        tests = "\n".join(mutant.tests) if verdict.is_killed else "SURVIVED"
        table.add_row(mutant.name, mutant.file, tests.replace("[", r"\["), f"{verdict.seconds:.1f}")
    return table


if __name__ == "__main__":
    main()
