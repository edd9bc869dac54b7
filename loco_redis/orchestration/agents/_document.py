"""A YAML text as plain values, and where each of them stands."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loco_redis._extras import need

Path = tuple[str | int, ...]

_MOST_VALUES = 100_000  # aliases may multiply what a short text says
_DEEPEST = 50
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_PLAIN = "tag:yaml.org,2002:"
_SCALARS = {"null", "bool", "int", "float"}


@dataclass(frozen=True, slots=True)
class Place:
    """Counted from 1."""

    line: int
    column: int


class UnreadableError(Exception):
    """A text that is no YAML, or none of ours; it never leaves this package."""

    def __init__(self, text: str, place: Place) -> None:
        self.text, self.place = text, place
        super().__init__(text)


@dataclass(slots=True)
class Document:
    """What a text says.

    Attributes:
        values: plain dicts, lists, texts, numbers, booleans, None.
        keys, places: where the key of a path stands, and its value.
        written: scalars as they are in the file, with names of variables in place of their values.
        typed: what a scalar with a variable is if it is no text: a number, a boolean.
    """

    values: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)
    typed: dict[Path, Any] = field(default_factory=dict)

    def key(self, path: Path) -> Place:
        """Of a key, or of the nearest thing around it that is there."""
        return self.keys.get(path) or self.value(path)

    def value(self, path: Path) -> Place:
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))


def read(text: str, environment: Mapping[str, str] | None = None) -> Document:
    """`${NAME}` and `${NAME:-default}` in values stand for variables of the environment.

    Raises:
        UnreadableError: it is no YAML; a key twice; a tag, a merge, a variable that is not set.
        ModuleNotFoundError: PyYAML is not installed; says how to install it.
    """
    yaml = need("yaml", "yaml")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        # What is quoted may be a part of a password.
        problem = (error.problem or error.context or "").split(" '")[0]
        raise UnreadableError(f"is no YAML: {problem}", place) from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"is no YAML: {str(error).splitlines()[0]}", Place(1, 1)) from None
    except RecursionError:
        raise UnreadableError("is nested too deeply", Place(1, 1)) from None
    document = Document()
    if node is not None:
        reader = _Reader(yaml, document, os.environ if environment is None else environment)
        document.values = reader.value(node, ())
    return document


class _Reader:
    def __init__(self, yaml: Any, document: Document, environment: Mapping[str, str]) -> None:
        self._yaml, self._document, self._environment = yaml, document, environment
        self._resolver, self._constructor = yaml.SafeLoader(""), yaml.SafeLoader("")
        self._count = 0

    def value(self, node: Any, path: Path) -> Any:
        self._count += 1
        place = self._document.places[path] = _place(node)
        if self._count > _MOST_VALUES or len(path) > _DEEPEST:
            raise UnreadableError("says too much: leave out aliases", place)
        if isinstance(node, self._yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (f"{_PLAIN}seq", f"{_PLAIN}map"):
            raise UnreadableError("has a tag: use plain values", place)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(each, (*path, at)) for at, each in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            name, place = key.value, _place(key)
            if not isinstance(name, str):
                raise UnreadableError("has a key that is no text: use plain names", place)
            if name in found:
                raise UnreadableError(f"{name!r} is there twice: keep one of them", place)
            self._document.keys[(*path, name)] = place
            found[name] = self.value(value, (*path, name))
        return found

    def _scalar(self, node: Any, path: Path) -> Any:
        text: str = node.value
        self._document.written[path] = text
        filled = _VARIABLE.sub(lambda match: self._variable(match, node), text)
        if filled != text or _VARIABLE.search(text):
            tag = self._resolver.resolve(self._yaml.ScalarNode, filled, (True, False))
            self._document.typed[path] = self._plain(tag, filled, node)
            return filled
        return self._plain(node.tag, text, node)

    def _variable(self, match: re.Match[str], node: Any) -> str:
        name, default = match[1], match[2]
        value = self._environment.get(name) or default
        if value is None:
            raise UnreadableError(
                f"the variable {name} is not set: set it, or write ${{{name}:-default}}",
                _place(node),
            )
        return value

    def _plain(self, tag: str, text: str, node: Any) -> Any:
        """A timestamp is a text here."""
        kind = tag.removeprefix(_PLAIN)
        if kind in _SCALARS:
            scalar = self._yaml.ScalarNode(tag, text, node.start_mark, node.end_mark)
            try:
                return getattr(self._constructor, f"construct_yaml_{kind}")(scalar)
            except ValueError:  # such as `!!int x`
                raise UnreadableError(f"is no {kind}", _place(node)) from None
        if kind in ("str", "timestamp", "value", "merge"):
            return text
        raise UnreadableError("has a tag: use plain values", _place(node))


def _place(node: Any) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
