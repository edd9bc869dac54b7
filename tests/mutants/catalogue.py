"""All mutants."""

from __future__ import annotations

from tests.mutants.in_client import CLIENT
from tests.mutants.in_governance import GOVERNANCE
from tests.mutants.in_scripts import SCRIPTS

MUTANTS = (*SCRIPTS, *GOVERNANCE, *CLIENT)
