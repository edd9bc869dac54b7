"""What a scheduler is told at its construction: where Redis is, and its settings."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loco_redis._endpoint import AsyncClient, Endpoint, SyncClient, resolve
from loco_redis._validate import FULL_NAME_PATTERN, FULL_NAME_RULE, shown

__all__ = ["PRESETS", "AsyncClient", "Endpoint", "Settings", "SyncClient", "resolve"]

PRESETS = {"latency": 0.0, "balanced": 0.25, "throughput": 0.5}
HIGHEST_FAIR_ALPHA = 0.5


class Settings(BaseModel):
    """The options of one scheduler, validated. Make it with `Settings.of`.

    `capacity`, `alpha`, `lease_ttl`, the rates, the two that adapt and `events` are the resource's,
    stored in Redis: None adopts what is stored there. The others are this scheduler's own. Times
    are seconds.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,  # a bool is not an int here
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    # Each description completes "<field> must be ..." in the error message.
    name: Annotated[
        str,
        Field(pattern=f"^{FULL_NAME_PATTERN}$", description=FULL_NAME_RULE),
    ]
    capacity: Annotated[
        int | None,
        Field(ge=0, le=10**9, description="an int from 0 (paused) to 1e9, or None to adopt"),
    ] = None
    alpha: Annotated[
        float | None, Field(ge=0, le=1, description="a number from 0 to 1, or None to adopt")
    ] = None
    optimize_for: Annotated[
        Literal["latency", "balanced", "throughput"] | None,
        Field(description="'latency', 'balanced' or 'throughput'"),
    ] = None
    max_waiters: Annotated[
        int | None, Field(ge=0, le=10**9, description="an int from 0 to 1e9, or None for no limit")
    ] = None
    rpm: Annotated[
        int | None, Field(ge=0, le=10**9, description="an int from 0 to 1e9, or None")
    ] = None
    rpm_burst: Annotated[
        int | None, Field(ge=1, le=10**9, description="an int from 1 to 1e9, or None")
    ] = None
    tpm: Annotated[
        int | None, Field(ge=0, le=10**9, description="an int from 0 to 1e9, or None")
    ] = None
    tpm_burst: Annotated[
        int | None, Field(ge=1, le=10**9, description="an int from 1 to 1e9, or None")
    ] = None
    adaptive_capacity: Annotated[
        bool | None, Field(description="True, False, or None to adopt")
    ] = None
    auto_tune: Annotated[bool | None, Field(description="True, False, or None to adopt")] = None
    events: Annotated[
        int | None,
        Field(ge=0, le=10**6, description="an int from 0 (off) to 1e6, or None to adopt"),
    ] = None
    lease_ttl: Annotated[
        float | None,
        Field(ge=0.2, le=3600, description="from 0.2 to 3600 seconds, or None to adopt"),
    ] = None
    max_stall: Annotated[float, Field(gt=0, description="a positive number of seconds")] = 60.0
    on_lost: Annotated[Literal["cancel", "warn"], Field(description="'cancel' or 'warn'")] = (
        "cancel"
    )
    strict: Annotated[bool, Field(description="True or False")] = False
    scripts: Annotated[
        Literal["eval", "functions"] | None,
        Field(description="'eval', 'functions', or None for LOCO_REDIS_SCRIPTS"),
    ] = None
    backend_timeout: Annotated[float, Field(gt=0, description="a positive number of seconds")] = (
        30.0
    )

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Validated settings; `optimize_for` is turned into its `alpha`.

        Raises:
            ValueError: one line that names the value and the remedy.
        """
        try:
            settings = cls(**options)
        except ValidationError as error:
            raise ValueError(_one_line(error, options)) from None
        if settings.alpha is not None and settings.alpha > HIGHEST_FAIR_ALPHA:
            warnings.warn(
                f"alpha={settings.alpha:g} starves light agents: above {HIGHEST_FAIR_ALPHA} a "
                "deep queue can wait out any age; use 0.5 or less unless that is wanted",
                stacklevel=2,
            )
        return settings

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, options: Any) -> Any:
        if not isinstance(options, dict) or options.get("optimize_for") is None:
            return options
        if options.get("alpha") is not None:
            raise ValueError(
                f"both alpha={options['alpha']!r} and optimize_for={options['optimize_for']!r}: "
                "give one of them"
            )
        # An unknown name is left to the field's own check.
        return {**options, "alpha": _preset(options["optimize_for"])}


def _preset(name: object) -> float | None:
    return PRESETS.get(name) if isinstance(name, str) else None


def _one_line(error: ValidationError, options: dict[str, Any]) -> str:
    """The first complaint of pydantic in this project's words."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    if name not in Settings.model_fields:
        return f"unknown option {shown(name)}: known are {', '.join(Settings.model_fields)}"
    if name not in options:
        return f"{name} is missing: it must be {Settings.model_fields[name].description}"
    rule = Settings.model_fields[name].description
    return f"{name} must be {rule}, got {shown(options[name])}"
