"""What all sections of the configuration share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """Unknown keys are refused, no value is turned into another type, and errors show none."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


Text = Annotated[str, Field(min_length=1, description="a text that is not empty")]
Seconds = Annotated[float, Field(gt=0, le=86_400, description="seconds, more than 0 to 86400")]


def complaint(text: str, *at: str | int) -> PydanticCustomError:
    """About what stands at `at`, seen from the section that raises it."""
    return PydanticCustomError("complaint", "{text}", {"text": text, "at": at})
