"""Packages that only some users need, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str, extra: str) -> Any:
    """The module.

    Raises:
        ModuleNotFoundError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        text = f"{module} is not installed: pip install 'loco-redis[{extra}]'"
        raise ModuleNotFoundError(text, name=error.name) from error
