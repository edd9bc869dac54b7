"""A configuration out of a file, or what is wrong with it: line and column, a remedy."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from loco_redis._url import redact
from loco_redis._validate import shown
from loco_redis.errors import ConfigFileError
from loco_redis.orchestration.agents._document import Document, UnreadableError, read
from loco_redis.orchestration.agents._document import Path as At
from loco_redis.orchestration.agents.settings import AgentSchedulerConfig

_MOST_BYTES = 4 << 20
_SECRETS = {"password", "api_key", "username"}
_OTHER_TYPE = {"int_type", "float_type", "bool_type", "none_required"}


def load(path: str | os.PathLike[str]) -> AgentSchedulerConfig:
    """The configuration in a file.

    Raises:
        ConfigFileError: it cannot be read, or does not say what it must; all complaints at once.
        ModuleNotFoundError: PyYAML is not installed; says how to install it.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigFileError(name, [f"{name}: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigFileError(name, [f"{name}: is not UTF-8 at byte {error.start}"]) from None
    if len(raw) > _MOST_BYTES:
        raise ConfigFileError(name, [f"{name}: has more than {_MOST_BYTES} bytes"])
    return parse(text, name)


def parse(
    text: str, name: str = "<text>", environment: Mapping[str, str] | None = None
) -> AgentSchedulerConfig:
    """`load` of a text; `name` stands in its errors."""
    try:
        document = read(text, environment)
    except UnreadableError as error:
        where = f"{name}:{error.place.line}:{error.place.column}"
        raise ConfigFileError(name, [f"{where}: {error.text}"]) from None
    if document.values is None:
        raise ConfigFileError(name, [f"{name}:1:1: is empty: write at least agents"])
    if not isinstance(document.values, dict):
        raise ConfigFileError(name, [f"{name}:1:1: must have sections, such as agents"])
    try:
        return _validated(document)
    except ValidationError as error:
        raise ConfigFileError(name, [*_complaints(name, document, error)]) from None


def _validated(document: Document) -> AgentSchedulerConfig:
    """What a variable stands for is a text, and a number only where one is wanted: a password may
    look like one."""
    try:
        return AgentSchedulerConfig.model_validate(document.values)
    except ValidationError as error:
        wanted = [
            problem["loc"]
            for problem in error.errors(include_url=False, include_input=False)
            if problem["type"] in _OTHER_TYPE and problem["loc"] in document.typed
        ]
        if not wanted:
            raise
        for at in wanted:
            _put(document.values, at, document.typed[at])
        return AgentSchedulerConfig.model_validate(document.values)


def _put(values: Any, at: At, value: Any) -> None:
    for part in at[:-1]:
        values = values[part]
    values[at[-1]] = value


def _complaints(name: str, document: Document, error: ValidationError) -> Iterable[str]:
    """One line each, in the order of the file."""
    found = []
    for problem in error.errors(include_url=False):
        loc, kind = problem["loc"], problem["type"]
        if kind == "complaint":
            loc = (*loc, *problem["ctx"]["at"])
            text, place = str(problem["ctx"]["text"]), document.key(loc)
        elif kind == "extra_forbidden":
            text, place = _unknown(loc), document.key(loc)
        elif kind == "missing":
            text, place = _missing(loc), document.key(loc[:-1])
        else:
            got = "an empty list" if kind == "too_short" else _got(loc, document.written.get(loc))
            text, place = _wrong(loc, got, document), document.value(loc)
        found.append((place.line, place.column, f"{_spelled(loc)} {text}"))
    return [f"{name}:{line}:{column}: {text}" for line, column, text in sorted(found)]


def _unknown(loc: At) -> str:
    section = _section(loc[:-1])
    known = list(section.model_fields) if section is not None else []
    near = difflib.get_close_matches(str(loc[-1]), known, 1)
    return f"is unknown: {f'did you mean {near[0]}?' if near else 'known are ' + ', '.join(known)}"


def _missing(loc: At) -> str:
    rule = _rule(loc)
    return f"is missing: it must be {rule}" if rule else "is missing"


def _wrong(loc: At, got: str, document: Document) -> str:
    field = _field(loc)
    near: list[str] = []
    rule = _rule(loc) or "a section with keys"
    if field is not None and (words := _words(field)):
        rule = f"one of {', '.join(words)}"
        near = difflib.get_close_matches(document.written.get(loc, ""), words, 1)
    mean = f" (did you mean {near[0]}?)" if near else ""
    return f"must be {rule}, got {got}{mean}"


def _got(loc: At, found: str | None) -> str:
    """As it is in the file, so never what a variable stands for; secrets not at all."""
    if loc and loc[-1] in _SECRETS:
        return "something else (not shown)"
    if found is None:
        return "a list or a section"
    if found in ("", "~", "null"):
        return "nothing"
    return shown(redact(found))


def _rule(loc: At) -> str | None:
    """What a value must be."""
    field = _field(loc)
    if field is None:
        return None
    return field.description or ("a section with keys" if _model_in(field.annotation) else None)


def _field(loc: At) -> FieldInfo | None:
    """None of what is no field, such as an entry of a list."""
    if not loc or not isinstance(loc[-1], str):
        return None
    section = _section(loc[:-1])
    return None if section is None else section.model_fields.get(loc[-1])


def _section(loc: At) -> type[BaseModel] | None:
    section: type[BaseModel] | None = AgentSchedulerConfig
    for part in loc:
        if isinstance(part, str):
            field = section.model_fields.get(part) if section is not None else None
            section = _model_in(field.annotation) if field is not None else None
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field's type is, or lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)


def _words(field: FieldInfo) -> list[str]:
    """Of a choice between words, None left out."""
    words = [
        each for one in (field.annotation, *get_args(field.annotation)) for each in get_args(one)
    ]
    return [word for word in words if isinstance(word, str)]


def _spelled(loc: At) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".") or "the file"
