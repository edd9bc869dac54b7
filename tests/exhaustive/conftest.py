"""What the searches have gone through is written down as what the fault tests saw."""

from tests.faults.conftest import seen

__all__ = ["seen"]
