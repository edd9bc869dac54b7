"""What holds for every async way of a call, on clients of aiobotocore."""

from __future__ import annotations

import pytest

from tests.adapters.async_cases import AsyncCases
from tests.frameworks.aiobotocore.aio_ways import Converse, Invoke


@pytest.mark.parametrize("kind", [Converse, Invoke])
class TestAiobotocore(AsyncCases):
    """Both APIs."""
