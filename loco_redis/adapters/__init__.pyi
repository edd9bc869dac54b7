"""The public names; `__init__.py` imports each from here when it is first used."""

from ._calls.passage import ProviderError
from .anthropic import AnthropicAdapter
from .openai import OpenAIAdapter
from .prices import Pricing, estimate
from .transport import AsyncScheduledTransport, ScheduledTransport
from .usage import Usage
from .vanilla import VanillaAdapter
from .weights import Estimate

__all__ = [
    "AnthropicAdapter",
    "AsyncScheduledTransport",
    "Estimate",
    "OpenAIAdapter",
    "Pricing",
    "ProviderError",
    "ScheduledTransport",
    "Usage",
    "VanillaAdapter",
    "estimate",
]
