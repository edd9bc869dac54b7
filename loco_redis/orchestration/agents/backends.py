"""One backend in a configuration: a model's endpoint, and how the built-in handler calls it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from loco_redis._validate import NAME_PATTERN, NAME_RULE
from loco_redis.orchestration.agents._section import Section, Text
from loco_redis.orchestration.routing import Backend, Http

Provider = Literal["openai", "anthropic"]

_ANTHROPIC_VERSION = "2023-06-01"
_DEFAULT_URLS: dict[Provider, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}


class BackendSection(Section):
    """An endpoint of a model, as `Backend` of the router; with `provider` the built-in handler can
    call it."""

    name: str = Field(pattern=f"^{NAME_PATTERN}$", description=NAME_RULE)
    capacity: int = Field(ge=1, le=10**6, description="an int from 1: requests at once there")
    model: Text | None = None
    weight: float = Field(default=1.0, ge=0.001, le=1e6, description="a number from 0.001 to 1e6")
    rpm: int | None = Field(default=None, ge=0, le=10**9, description="an int from 0")
    tpm: int | None = Field(default=None, ge=0, le=10**9, description="an int from 0")
    price_in: float = Field(
        default=0.0, ge=0, le=1e6, description="a number from 0, per million tokens"
    )
    price_out: float = Field(
        default=0.0, ge=0, le=1e6, description="a number from 0, per million tokens"
    )
    cost: float = Field(default=0.0, ge=0, le=1e6, description="a number from 0, per call")
    provider: Provider | None = Field(default=None, description='"openai" or "anthropic"')
    base_url: Text | None = None
    api_key: SecretStr | None = Field(default=None, strict=False, description="a text")
    max_output_tokens: int = Field(default=1024, ge=1, le=10**6, description="an int from 1")

    @property
    def is_priced(self) -> bool:
        return bool(self.cost or self.price_in or self.price_out)

    def routed(self, max_connections: int, timeout: float) -> Backend:
        """As a `Router` takes it. Raises ValueError."""
        url = self.base_url
        if url is None and self.provider is not None:
            url = _DEFAULT_URLS[self.provider]
        return Backend(
            name=self.name,
            capacity=self.capacity,
            model=self.model,
            weight=self.weight,
            rpm=self.rpm,
            tpm=self.tpm,
            base_url=url,
            price_in=self.price_in,
            price_out=self.price_out,
            cost=self.cost,
            http=Http(max_connections, timeout, self._headers()),
        )

    def _headers(self) -> dict[str, str]:
        key = self.api_key.get_secret_value() if self.api_key is not None else None
        if self.provider == "anthropic":
            headers = {"anthropic-version": _ANTHROPIC_VERSION}
            return headers if key is None else {**headers, "x-api-key": key}
        return {} if key is None else {"authorization": f"Bearer {key}"}
