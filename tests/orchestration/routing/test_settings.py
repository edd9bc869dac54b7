"""What is refused before anything is sent, and which exceptions count against a backend."""

from __future__ import annotations

import re
import socket
import sys
import urllib.error
from collections.abc import Callable
from email.message import Message
from importlib import resources

import httpx
import pytest

from loco_redis.adapters._calls.failures import Failure, failure_of
from loco_redis.errors import AcquireTimeoutError, BackendFailure
from loco_redis.orchestration._scripts import source
from loco_redis.orchestration.routing import (
    Backend,
    Breaker,
    Http,
    Router,
    RouterBudget,
)
from loco_redis.orchestration.routing._clients import Clients
from loco_redis.orchestration.routing.settings import STRATEGIES

URL = "redis://nowhere"
A = Backend("a", 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Backend("a b", 1), "resource name must be"),
        (lambda: Backend("a", 0), "capacity of a backend must be an int from 1"),
        (lambda: Backend("a", 1, weight=0), "weight of a backend must be a number from 0.001"),
        (lambda: Backend("a", 1, rpm=-1), "rpm must be an int from 0"),
        (lambda: Backend("a", 1, price_in=-1), "price_in must be a number from 0"),
        (lambda: Backend("a", 1, cost=1, price_out=1), "a cost per call and prices per token"),
        (lambda: Backend("a", 1, model=7), "model must be a str or None, got 7"),
        (lambda: Backend("a", 1, http={"timeout": 1}), r"http must be an Http, such as Http\("),
        (lambda: Http(max_connections=0), "max_connections must be an int from 1"),
        (lambda: Http(timeout=0), "timeout must be a number of seconds from 0.001"),
        (lambda: Breaker(errors=0), "errors must be an int from 1"),
        (lambda: Breaker(open_for=200), "longest must be a number of seconds from 200"),
        (lambda: RouterBudget(0), "limit must be a number"),
        (lambda: RouterBudget(1, downgrade_at=2), "downgrade_at must be a number from 0 to 1"),
        (lambda: Router("a b", [A], URL), "resource name must be"),
        (lambda: Router("r", [], URL), "a router has 1 to 100 backends, got 0"),
        (lambda: Router("r", [A, A], URL), "two backends are named 'a'"),
        (lambda: Router("r", ["a"], URL), "backends must be Backend objects, got 'a'"),
        (lambda: Router("r" * 64, [A], URL), "resource name must be"),
        (lambda: Router("r", [A], URL, strategy="best"), "strategy must be one of round_robin,"),
        (lambda: Router("r", [A], URL, strategy="cost_aware"), "cost_aware needs prices"),
        (lambda: Router("r", [A], URL, slo=0), "slo must be a number of seconds from 0.001"),
        (lambda: Router("r", [A], URL, flight_ttl=0), "flight_ttl must be a number of seconds"),
        (lambda: Router("r", [A], URL, strategy="sticky").route("x"), "sticky needs a key"),
        (lambda: Router("r", [A], URL).route(""), "agent id must not be empty"),
        (lambda: Router("r", [A], URL).route("x", exclude="b"), r"exclude names \['b'\], the back"),
        (lambda: Router("r", [A], URL).route("x", tokens=-1), "tokens must be an int from 0"),
        (lambda: Router("r", [A], URL).route("x", tokens=(1, -1)), "output tokens must be an int"),
        (lambda: Router("r", [A], URL).route("x", weight=0.5), "weight must be a number from 1"),
        (lambda: Router("r", [A], URL).route("x", request_id=""), "request_id must not be empty"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], object], said: str) -> None:
    """By a ValueError of one line that names the value."""
    with pytest.raises(ValueError, match=said) as told:
        make()
    assert "\n" not in str(told.value)


def http_error(status: int, **headers: str) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://h")
    response = httpx.Response(status, headers=headers, request=request)
    return httpx.HTTPStatusError("no", request=request, response=response)


class OfSDK(Exception):
    def __init__(self, status: int) -> None:
        self.status_code = status


def url_error(status: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("http://h", status, "no", Message(), None)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (http_error(500), Failure(500)),
        (http_error(429), Failure(429, 1.0)),
        (http_error(429, **{"Retry-After": "7"}), Failure(429, 7.0)),
        (http_error(503, **{"retry-after": "2"}), Failure(503, 2.0)),
        (http_error(404), None),
        (OfSDK(529), Failure(529, 1.0)),
        (OfSDK(400), None),
        (url_error(502), Failure(502)),
        (httpx.ConnectError("no"), Failure()),
        (httpx.ReadTimeout("no"), Failure()),
        (httpx.InvalidURL("no"), None),
        (ConnectionResetError(), Failure()),
        (TimeoutError(), Failure()),
        (socket.gaierror(), Failure()),
        (FileNotFoundError(), None),
        (BackendFailure("no", 418, 2.5), Failure(418, 2.5)),
        (BackendFailure("no"), Failure()),
        (AcquireTimeoutError("llm", "a", 1), None),
        (ValueError("a reply"), None),
        (KeyboardInterrupt(), None),
    ],
    ids=repr,
)
def test_what_counts_against_a_backend(error: BaseException, failure: Failure | None) -> None:
    """Statuses 429 and 5xx wherever an SDK keeps them, broken connections, timeouts; not what the
    caller did wrong, and not what this package raises."""
    assert failure_of(error) == failure


def test_errors_of_sdks_count() -> None:
    """Those of openai and anthropic for broken connections."""
    import anthropic
    import openai

    request = httpx.Request("POST", "http://h")
    for error in (
        openai.APIConnectionError(request=request),  # type: ignore[arg-type]
        openai.APITimeoutError(request=request),  # type: ignore[arg-type]
        anthropic.APIConnectionError(request=request),  # type: ignore[arg-type]
    ):
        assert failure_of(error) == Failure()


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a client is first asked for, not before."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'loco-redis\[routing\]'"):
        Clients().of(A)


SCRIPTS = ("route", "report", "renew_routes", "look_at_routes")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_what_it_does(script: str) -> None:
    """Its header has KEYS, ARGV, reply and cost; nothing is left to include."""
    folder = resources.files("loco_redis.orchestration") / "lua" / "routing"
    header = (folder / f"{script}.lua").read_text("utf-8").partition("\nlocal ")[0]
    assert header.startswith(f"-- {script}: ")
    assert all(f"-- {word}: " in header for word in ("KEYS", "ARGV", "Reply", "Cost"))
    for name in [f"route_{strategy}" for strategy in STRATEGIES] if script == "route" else [script]:
        assert "--@" not in source(name)
        assert all(len(line) <= 120 for line in source(name).splitlines())


def test_each_strategy_has_its_file() -> None:
    """And there is no file without a strategy."""
    folder = resources.files("loco_redis.orchestration") / "lua" / "routing"
    names = {re.sub(r"^choose_|\.lua$", "", f.name) for f in folder.iterdir() if "choose" in f.name}
    assert names == {*STRATEGIES}
