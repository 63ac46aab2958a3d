"""HTTP triggers: which requests reach a function, what it receives, and the responses to the others."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from devhost.host_json import HostSettings
from devhost.http import BODY_LIMIT_BYTES, HttpFront, compile_function_route
from devhost.keys import KeyRing
from devhost.replies import Reply
from devhost.routes import RouteTable
from devhost.settings import FunctionConfigurationError
from devhost.values import Datum
from devhost.worker import Function, Invocation
from tests.devhost.doubles import MemoryBlobs, function
from tests.devhost.http_calls import call

SETTINGS = HostSettings(route_prefix="api")
OPEN = {"authLevel": "ANONYMOUS"}
ECHO = function("echo", "httpTrigger", http_output="$return", trigger={"route": "echo/{*rest}", **OPEN})
POSTED = function("posted", "httpTrigger", http_output="$return", trigger={"methods": ["post"]})


def response(body: bytes = b"", status: str = "200", **headers: str) -> Datum:
    named = {name.replace("_", "-"): Datum("string", value) for name, value in headers.items()}
    content = {"status_code": Datum("string", status), "headers": named, "cookies": None, "body": Datum("bytes", body)}
    return Datum("http", content)


class Functions:
    """A worker double: records each invocation, and waits while `gate` is not set."""

    def __init__(self, answer: Datum | None = None, *, succeeded: bool = True) -> None:
        self.seen: list[dict[str, Any]] = []
        self.traces: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self._answer = answer or response(b"done")
        self._succeeded = succeeded

    async def __call__(self, _: Function, value: Datum, metadata: Mapping[str, Datum], trace: str) -> Invocation:
        plain = {name: _plain(part) for name, part in value.value.items()}
        self.seen.append(plain)
        self.traces.append(trace)
        self.begun.set()
        await self.gate.wait()
        self.ended.set()
        return Invocation(succeeded=self._succeeded, outputs=(("$return", self._answer),))


def _plain(part: Datum | dict[str, Datum]) -> Any:
    return {n: v.value for n, v in part.items()} if isinstance(part, dict) else part.value


async def own_pages(method: str, path: str, body: bytes) -> Reply:
    return Reply(200, f"{method} {path} {body.decode()}".encode())


def front(functions: Functions, settings: HostSettings = SETTINGS, **more: Any) -> HttpFront:
    routes = RouteTable([compile_function_route(f, settings, {}) for f in (ECHO, POSTED)])
    disabled = more.pop("disabled", frozenset())
    return HttpFront(invoke=functions, settings=settings, routes=routes, disabled=disabled, own_pages=own_pages, **more)


def keys() -> KeyRing:
    made = iter(["master", "function", "own"])
    return KeyRing(MemoryBlobs(), "host", new_key=lambda: next(made), clock=lambda: 0.0)


async def test_function_receives_the_request_as_from_the_genuine_host() -> None:
    functions = Functions()
    headers = [(b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"\xe9")]
    target = "/api/echo/a%20b/c?q=1&q=2&empty=&p=x%26y"
    await call(front(functions), "PUT", target, headers=headers, body=[b"he", b"llo"])
    assert functions.seen == [
        {
            "method": "PUT",
            "url": f"http://localhost{target}",
            "headers": {"host": "localhost", "content-length": "5", "x-a": "1,2", "x-b": "é"},
            "query": {"q": "1,2", "p": "x&y"},
            "params": {"rest": "a b/c"},
            "body": b"hello",
        }
    ]


async def test_body_without_content_length_does_not_reach_the_function() -> None:
    functions = Functions()
    assert (await call(front(functions), "POST", "/api/echo", body=[b"lost"], is_chunked=True)).status == 200
    assert functions.seen[0]["body"] == b""


async def test_url_has_the_front_ends_scheme_and_host() -> None:
    functions = Functions()
    headers = [(b"x-forwarded-proto", b"https"), (b"disguised-host", b"relay.azurewebsites.net")]
    await call(front(functions), target="/api/echo/x", headers=headers)
    assert functions.seen[0]["url"] == "https://relay.azurewebsites.net/api/echo/x"


async def test_traceparent_reaches_the_invocation() -> None:
    functions = Functions()
    await call(front(functions), target="/api/echo", headers=[(b"traceparent", b"00-a-b-01")])
    assert functions.traces == ["00-a-b-01"]


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/api/posted"), ("POST", "/posted"), ("GET", "/api"), ("GET", "/api/other")]
)
async def test_wrong_path_or_method_is_404_without_a_body(method: str, target: str) -> None:
    result = await call(front(Functions()), method, target)
    assert (result.status, result.body) == (404, b"")


async def test_empty_prefix_leaves_the_root_to_the_host() -> None:
    functions = Functions()
    application = front(functions, HostSettings(route_prefix=""))
    assert (await call(application, "POST", "/posted")).status == 200
    assert (await call(application, "GET", "/")).body == b"GET / "


async def test_admin_routes_are_reserved_for_the_host() -> None:
    application = front(Functions())
    result = await call(application, "POST", "/Admin/Functions/x", body=[b"{}"])
    assert result.body == b"POST /admin/functions/x {}"
    reserved = function("sly", "httpTrigger", trigger={"route": "Admin/{x}"})
    with pytest.raises(FunctionConfigurationError, match="reserved"):
        compile_function_route(reserved, HostSettings(route_prefix=""), {})


async def test_failed_function_is_500_without_a_body() -> None:
    result = await call(front(Functions(succeeded=False)), target="/api/echo")
    assert (result.status, result.body) == (500, b"")


@pytest.mark.parametrize("wrong", [response(status="many"), response(x_a="☃")])
async def test_invalid_response_is_500_without_a_body(wrong: Datum, caplog: pytest.LogCaptureFixture) -> None:
    result = await call(front(Functions(wrong)), target="/api/echo")
    assert (result.status, result.body) == (500, b"")
    assert "A request failed in the host" in caplog.text


async def test_disconnect_before_the_body_is_complete_runs_no_function() -> None:
    functions = Functions()
    headers = [(b"content-length", b"5")]
    assert (await call(front(functions), "POST", "/api/echo", headers=headers, disconnects=True)).status == 0
    assert functions.seen == []


@pytest.mark.parametrize(
    ("target", "length", "status"), [("/api/echo", BODY_LIMIT_BYTES + 1, 413), (f"/api/echo/{'x' * 8192}", 0, 414)]
)
async def test_oversized_request_runs_no_function(target: str, length: int, status: int) -> None:
    functions = Functions()
    headers = [(b"content-length", b"%d" % length)]
    assert (await call(front(functions), "POST", target, headers=headers)).status == status
    assert functions.seen == []


async def test_requests_above_the_limit_are_429_with_the_scale_out_header() -> None:
    functions = Functions()
    functions.gate.clear()
    application = front(functions, HostSettings(max_outstanding_requests=1))
    first = asyncio.create_task(call(application, target="/api/echo"))
    await functions.begun.wait()
    second = await call(application, target="/api/echo")
    assert (second.status, second.header(b"x-function-scaleout")) == (429, b"1")
    functions.gate.set()
    assert (await first).status == 200
    assert (await call(application, target="/api/echo")).status == 200


async def test_app_that_is_not_loaded_is_503_with_text() -> None:
    result = await call(front(Functions(), is_loaded=False), target="/api/echo")
    assert (result.status, result.body) == (503, b"Function host is not running.")


async def test_late_response_behind_the_front_end_is_502_and_the_function_continues() -> None:
    functions = Functions()
    functions.gate.clear()
    application = front(functions, front_end_seconds=0.0)
    assert (await call(application, target="/api/echo")).status == 502
    functions.gate.set()
    await functions.ended.wait()
    assert (await call(front(Functions(), front_end_seconds=230.0), target="/api/echo")).body == b"done"


async def test_custom_headers_do_not_replace_the_functions_own() -> None:
    settings = HostSettings(custom_headers=(("X-Frame-Options", "DENY"), ("X-Own", "host")))
    result = await call(front(Functions(response(x_own="function")), settings), target="/api/echo")
    assert result.headers[:2] == [(b"x-own", b"function"), (b"x-frame-options", b"DENY")]


async def test_framing_headers_of_a_function_are_dropped() -> None:
    result = await call(front(Functions(response(b"four", content_length="9"))), target="/api/echo")
    assert result.headers == [(b"content-length", b"4")]
    bodyless = await call(front(Functions(response(b"four", status="204"))), target="/api/echo")
    assert (bodyless.headers, bodyless.body) == ([], b"")


@pytest.mark.parametrize(
    ("key", "status"), [(b"", 401), (b"wrong", 401), (b"own", 200), (b"function", 200), (b"master", 200)]
)
async def test_function_requires_a_key_if_auth_is_enabled(key: bytes, status: int) -> None:
    application = front(Functions(), keys=keys())
    result = await call(application, "POST", "/api/posted", headers=[(b"x-functions-key", key)])
    assert result.status == status
    assert (await call(application, "POST", f"/api/posted?code={key.decode()}")).status == status
    assert result.body == (b"done" if status == 200 else b"")
    assert result.header(b"www-authenticate") is None


async def test_anonymous_function_accepts_any_key() -> None:
    result = await call(front(Functions(), keys=keys()), target="/api/echo", headers=[(b"x-functions-key", b"wrong")])
    assert result.status == 200


@pytest.mark.parametrize(("key", "status"), [(b"", 401), (b"function", 404), (b"master", 200)])
async def test_disabled_function_runs_only_with_the_master_key(key: bytes, status: int) -> None:
    application = front(Functions(), disabled=frozenset({"posted"}), keys=keys())
    result = await call(application, "POST", "/api/posted", headers=[(b"x-functions-key", key)])
    assert result.status == status


@pytest.mark.parametrize(("key", "status"), [(b"", 401), (b"function", 401), (b"master", 200)])
async def test_admin_pages_except_ping_require_the_master_key(key: bytes, status: int) -> None:
    application, headers = front(Functions(), keys=keys()), [(b"x-functions-key", key)]
    assert (await call(application, target="/admin/host/status", headers=headers)).status == status
    assert (await call(application, target="/admin/host/ping", headers=headers)).status == 200
