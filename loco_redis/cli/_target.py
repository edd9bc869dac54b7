"""Which resource a command is about: found before anything is read or changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from loco_redis._endpoint import FALLBACK_URL_VARIABLE
from loco_redis._shared_server import URL_VARIABLE
from loco_redis.cli._errors import Refused
from loco_redis.errors import BackendPermissionError, BackendUnavailableError
from loco_redis.observe import Link, Observer, resource_names


@contextlib.contextmanager
def open_link(redis: str | None) -> Iterator[Link]:
    """A connection to the server that is meant, which has answered.

    Raises:
        Refused: none is named.
        BackendUnavailableError: it is not there.
    """
    with make_link(redis) as link:
        # A user who may not PING is told so by what follows.
        with contextlib.suppress(BackendPermissionError):
            _knock(link)
        yield link


@contextlib.contextmanager
def open_target(redis: str | None, name: str | None) -> Iterator[Observer]:
    """The resource that is meant; without a name, the only one of the server.

    Raises:
        Refused: which one is not clear.
        UnknownResourceError: nothing is stored under that name.
    """
    with open_link(redis) as link:
        yield Observer(link, name or _only(link))


def make_link(redis: str | None) -> Link:
    """A link to the server that is meant, which has not been asked yet. Raises Refused."""
    url = redis or os.environ.get(URL_VARIABLE) or os.environ.get(FALLBACK_URL_VARIABLE)
    if not url:
        raise Refused(f"which Redis? give --redis URL, or set {URL_VARIABLE}")
    try:
        link = Link(url)
    except ValueError as error:
        raise Refused(str(error)) from None
    if link.endpoint.is_embedded:
        raise Refused("embedded:// starts a server of its own, with nothing in it: name one")
    return link


def _knock(link: Link) -> None:
    try:
        link.call("PING")
    except BackendUnavailableError as error:
        raise Refused(f"{error} (give --redis, or set {URL_VARIABLE})") from error


def _only(link: Link) -> str:
    names = resource_names(link)
    if not names:
        raise Refused(f"no resource at {link.where} yet: a scheduler makes one when it opens")
    if len(names) > 1:
        raise Refused(f"which resource? give -n: {', '.join(names)}")
    return names[0]
