"""Which exceptions say that a provider failed, and for how long it wants to be left alone. Pure."""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from loco_redis.adapters.usage import mapping
from loco_redis.errors import BackendFailure, LocoRedisError

_TOO_MANY, _BROKEN = 429, range(500, 600)
_OVERLOADED = (_TOO_MANY, 529)
_UNAVAILABLE = 503
_DEFAULT_PAUSE, _LONGEST_PAUSE = 1.0, 120.0  # seconds

# What ends an event stream of AWS, whose status is 400 then whatever the error is.
_STREAM_ERRORS = {
    "throttlingException": _TOO_MANY,
    "serviceUnavailableException": _UNAVAILABLE,
    "internalServerException": 500,
}

# What has no status: connections refused or broken, names that do not resolve, timeouts.
_CONNECTION_ERRORS = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
# The same of HTTP clients, which need not be installed: httpx; openai and anthropic; aiohttp.
_CONNECTION_ERROR_NAMES = {
    ("httpx", "TransportError"),
    ("httpx2", "TransportError"),
    ("openai", "APIConnectionError"),
    ("anthropic", "APIConnectionError"),
    ("aiohttp", "ClientConnectionError"),
    ("botocore", "HTTPClientError"),
    ("botocore", "ConnectionError"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Of a backend.

    Attributes:
        status: the HTTP status, where it answered.
        pause: seconds for which it asks to be left alone.
    """

    status: int | None = None
    pause: float | None = None


def failure_of(error: BaseException) -> Failure | None:
    """None: the exception says nothing of the backend."""
    if isinstance(error, BackendFailure):
        return Failure(error.status, error.retry_after)
    if isinstance(error, LocoRedisError):  # its timeouts are those of slots
        return None
    status = _status_of(error)
    if status is not None:
        if status != _TOO_MANY and status not in _BROKEN:
            return None
        return Failure(status, pause_asked(status, _headers_of(error)))
    if isinstance(error, _CONNECTION_ERRORS):
        return Failure()
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
    return Failure() if names & _CONNECTION_ERROR_NAMES else None


def _status_of(error: BaseException) -> int | None:
    """Where SDKs keep it: openai and anthropic, httpx, aiohttp, urllib, botocore."""
    response = getattr(error, "response", None)
    candidates = (
        _STREAM_ERRORS.get(str(mapping(mapping(response).get("Error")).get("Code"))),
        _of_botocore(response).get("HTTPStatusCode"),
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None),
    )
    for status in candidates:
        if type(status) is int and 100 <= status <= 599:
            return status
    return None


def _headers_of(error: BaseException) -> Mapping[str, str]:
    headers: Any = getattr(error, "litellm_response_headers", None)  # its response has none
    if headers is None:
        headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        headers = getattr(error, "headers", None)
    if headers is None:
        headers = _of_botocore(getattr(error, "response", None)).get("HTTPHeaders")
    if headers is None or not hasattr(headers, "items"):
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _of_botocore(response: object) -> Mapping[str, Any]:
    return mapping(mapping(response).get("ResponseMetadata"))


def pause_asked(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds, at most two minutes, for which a provider that answers so wants to be left alone:
    429 and 529 ("overloaded") always mean it, 503 if it says how long."""
    if status not in (*_OVERLOADED, _UNAVAILABLE):
        return None
    asked = _retry_after(headers)
    if asked is None:
        return _DEFAULT_PAUSE if status in _OVERLOADED else None
    return min(max(asked, 0.0), _LONGEST_PAUSE)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, else Retry-After: seconds or a date (RFC 9110, 10.2.3)."""
    milliseconds, text = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    for value, scale in ((milliseconds, 1000), (text, 1)):
        try:
            seconds = float(value) / scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return seconds
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return None
