"""Reading Redis URLs: what each form means, and how to show one without its credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url

Kind = Literal["single", "sentinel", "cluster", "embedded"]

FORMS = (
    "redis://host:6379/0, rediss://, valkey://, valkeys://, unix:///path/to.sock, "
    "redis+sentinel://host:26379,host/mymaster/0, redis+cluster://host:7000,host, embedded://"
)

_KINDS: dict[str, Kind] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
_TLS = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_DEFAULT_PORT = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_SENTINEL_LOGIN = ("sentinel_username", "sentinel_password")

# Parameters a URL's query may set. Others, such as decode_responses or retry_on_error, would change
# what the scripts' callers rely on.
_GENERAL = {"db", "username", "password", "protocol", "client_name", "max_connections"}
_SOCKET = {f"socket_{name}" for name in ("timeout", "connect_timeout", "keepalive")}
_SSL = {f"ssl_{name}" for name in ("ca_certs", "ca_data", "cert_reqs", "certfile", "keyfile")}
_SSL |= {f"ssl_{name}" for name in ("check_hostname", "ciphers", "min_version")}
URL_OPTIONS = frozenset(_GENERAL | _SOCKET | _SSL | {"health_check_interval"})


@dataclass(frozen=True)
class Location:
    """What a URL says: `options` are keyword arguments of redis-py's clients."""

    kind: Kind
    nodes: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def redact(url: str) -> str:
    """The URL without user names and passwords; safe for logs even when the URL is malformed."""
    # Greedy: an unescaped '@', '/' or '#' in a password must not let a piece of it through.
    head, question, query = re.sub(r"\A([A-Za-z+]+://)?.*@", r"\1***@", url, flags=re.S).partition(
        "?"
    )
    shown = [
        (name, "***" if re.search("pass|user|secret|key", name, re.I) else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return head + question + urlencode(shown, safe="*/:,")


def read(url: str) -> Location:
    """What the URL means.

    Raises:
        ValueError: one line with the redacted URL, what is wrong, and what to write instead.
    """
    scheme, separator, rest = url.partition("://")
    base, _, suffix = scheme.lower().partition("+")
    if separator and scheme.lower() == "embedded":
        if rest:
            raise _bad(url, "embedded:// takes no host, path or options")
        return Location("embedded")
    is_unix = scheme.lower() == "unix"
    if not separator or not (is_unix or (base in _TLS and suffix in _KINDS)):
        raise _bad(url, f"unknown scheme; use one of {FORMS}")
    try:
        parts = urlsplit(url)
    except ValueError:
        # Its text would name what stands before the host, too.
        raise _bad(url, "a host is malformed; percent-encode '[' and ']' in passwords") from None
    if "@" in parts.path + parts.query or parts.fragment:
        raise _bad(url, "percent-encode '@', '/', '?' and '#' in names and passwords")
    login, _, hosts = parts.netloc.rpartition("@")
    if is_unix:
        return _read_unix(url, hosts, parts.path, _read_options(url, login, parts.query))
    kind = _KINDS[suffix]
    nodes = _read_nodes(url, hosts, _DEFAULT_PORT[kind])
    if kind == "single" and len(nodes) != 1:
        raise _bad(url, "one host only; several need redis+sentinel:// or redis+cluster://")
    options = _read_options(url, login, parts.query)
    if _TLS[base]:
        options["ssl"] = True
    sentinel_options = _pop_sentinel_login(options)
    service = _read_path(url, kind, parts.path, options)
    return Location(kind, nodes, service, options, sentinel_options)


def _read_unix(url: str, hosts: str, path: str, options: dict[str, Any]) -> Location:
    if hosts or not path.strip("/"):
        raise _bad(url, "write unix:///absolute/path/to.sock?db=0")
    return Location("single", options={**options, "unix_socket_path": unquote(path)})


def _read_path(url: str, kind: Kind, path: str, options: dict[str, Any]) -> str:
    """Set options["db"] from the path unless the query did; return the sentinel's service."""
    service, db = "", unquote(path.strip("/"))
    if kind == "sentinel":
        service, _, db = db.partition("/")
        if not service:
            raise _bad(url, "name the master, e.g. redis+sentinel://host:26379/mymaster/0")
    if db and not re.fullmatch("[0-9]{1,6}", db):
        raise _bad(url, "the database at its end is not a number")
    options.setdefault("db", int(db or 0))
    if kind == "cluster" and options.pop("db") != 0:
        raise _bad(url, "a cluster has database 0 only")
    return service


def _read_options(url: str, login: str, query: str) -> dict[str, Any]:
    """Credentials and query parameters, cast by redis-py itself and checked by name."""
    if {"[", "]"} & {*login}:  # an error about these would name all of it
        raise _bad(url, "percent-encode '[' and ']' in names and passwords")
    try:
        found: dict[str, Any] = {**parse_url(f"redis://{login}{'@' * bool(login)}host?{query}")}
    except ValueError as error:
        # redis-py names the parameter and not its value; the chain might show more.
        raise _bad(url, str(error)) from None
    found.pop("host", None)
    if unknown := sorted(found.keys() - URL_OPTIONS - set(_SENTINEL_LOGIN)):
        known = ", ".join(sorted(URL_OPTIONS))
        raise _bad(url, f"parameter {unknown[0]!r} is not supported; known are {known}")
    if "protocol" in found:
        # redis-py 6 leaves it a str.
        if str(found["protocol"]) not in ("2", "3"):
            raise _bad(url, "protocol is 2 or 3")
        found["protocol"] = int(found["protocol"])
    return found


def _pop_sentinel_login(options: dict[str, Any]) -> dict[str, Any]:
    """The sentinels' own credentials and transport, which differ from the master's."""
    own = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in _SENTINEL_LOGIN
        if name in options
    }
    shared = {
        k: v for k, v in options.items() if k.startswith(("ssl", "socket_")) or k == "protocol"
    }
    return {**shared, **own}


def _read_nodes(url: str, hosts: str, default_port: int) -> tuple[tuple[str, int], ...]:
    nodes = []
    for text in hosts.split(","):
        try:
            part = urlsplit(f"//{text}")
            nodes.append((unquote(part.hostname or "localhost"), part.port or default_port))
        except ValueError:
            # Without the text: of a malformed URL it may be a piece of the password.
            raise _bad(url, "a host or port is malformed; escape special characters") from None
    return tuple(nodes)


def _bad(url: str, why: str) -> ValueError:
    return ValueError(f"Redis URL {redact(url)!r}: {why}")


def describe(location: Location) -> str:
    """A URL without credentials for a location that was read from a ready client."""
    if path := location.options.get("unix_socket_path"):
        return f"unix://{quote(path)}"
    scheme = "rediss" if location.options.get("ssl") else "redis"
    hosts = ",".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in location.nodes)
    database = location.options.get("db") or 0
    if location.kind == "cluster":
        return f"{scheme}+cluster://{hosts}"
    if location.kind == "sentinel":
        return f"{scheme}+sentinel://{hosts}/{location.service}/{database}"
    return f"{scheme}://{hosts}/{database}"
