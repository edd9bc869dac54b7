"""What holds for every plain way of a call, on clients of boto3."""

from __future__ import annotations

import pytest

from tests.adapters.sync_cases import SyncCases
from tests.frameworks.bedrock.boto_ways import Converse, Invoke


@pytest.mark.parametrize("kind", [Converse, Invoke])
class TestBoto(SyncCases):
    """Both APIs."""
