# ruff: noqa: ARG002 (aiohttp passes the request to every handler)
"""The base of all stand-ins: a server on loopback, scripted faults for each operation, control routes.

Control (plain HTTP at `control_url`, for other processes):

* `GET /__standin__/inbox` returns counters and mails (`?counters=1`: only the counters; bytes in base64;
  `?within_seconds=60` adds the maximum number of mails accepted within any such span), `DELETE` empties it;
* `POST /__standin__/script` adds a fault, a list of faults, or `{"chaos": {…}}`; `GET` returns the pending ones; `DELETE`;
* `POST /__standin__/account` sets `{"state": "…"}`; `GET` returns the state and all possible states.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Self

import msgspec
from aiohttp import web

from standins.inbox import Inbox, Mail
from standins.script import Act, Chaos, Fault, Script

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The decision to accept a request: how to record it, and the vendor's response."""

    commit: Callable[[], Awaitable[None]]
    response: web.Response


type Decide = Callable[[bytes], Awaitable[Acceptance | web.Response]]
"""Decides on a whole request body."""


class _ChaosOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    chaos: Chaos | None


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")


class StandIn:
    """A vendor on a free loopback port while the context is open.

    A subclass defines its vendor's name, account states and routes, and passes each operation with
    side effects through `perform`, which applies the script.
    """

    name: ClassVar[str]
    account_states: ClassVar[tuple[str, ...]] = ("active",)

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.inbox = Inbox()
        self.script = Script()
        self.clock = clock
        self.url = ""
        self.control_url = ""
        self._account = "active"
        self._bind = (host, port)
        self._tls = tls
        self._runners: list[web.AppRunner] = []
        self._released = asyncio.Event()

    @property
    def account(self) -> str:
        """The state of the vendor's account, one of `account_states`."""
        return self._account

    @account.setter
    def account(self, state: str) -> None:
        if state not in self.account_states:
            raise ValueError(f"{self.name} has no account state {state!r}; use one of {self.account_states}")
        self._account = state

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    def default_body(self, status: int) -> Any:
        """Return the vendor's body for a scripted status without a body."""
        return {"error": {"code": str(status), "message": f"scripted {status}"}}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. A stand-in with TLS gets a second port without TLS for its control routes."""
        routes = self.routes()
        if self._tls is None:
            self.url = await self.listen([*routes, *self.control_routes()], *self._bind)
            self.control_url = self.url
        else:
            self.url = await self.listen(routes, *self._bind, tls=self._tls)
            self.control_url = await self.listen(self.control_routes(), self._bind[0], 0)

    async def stop(self) -> None:
        self.release()
        while self._runners:
            await self._runners.pop().cleanup()

    async def listen(
        self, routes: Sequence[web.RouteDef], host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> str:
        """Serve routes on host:port (0 chooses one) and return the base URL without a last slash."""
        # The vendors' limits are above aiohttp's default of 1 MiB; each stand-in checks its own.
        app = web.Application(client_max_size=0)
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=512)
        await site.start()
        bound = runner.addresses[0][1]
        return f"{'https' if tls else 'http'}://{'localhost' if tls else host}:{bound}"

    async def perform(
        self,
        operation: str,
        request: web.Request,
        examine: Decide,
        recipients: Callable[[bytes], Sequence[str]] | None = None,
    ) -> web.StreamResponse:
        """Serve one operation under the script.

        `examine` decides on the whole body: an `Acceptance`, or the vendor's refusal. `recipients`
        finds the addresses in a body for faults by recipient; it must accept any body.
        """
        self.inbox.count_request()
        fault = self.script.take(operation)
        if fault is not None and fault.act is Act.CUT_BEFORE_BODY:
            return self.cut(request)
        body = await request.read()
        if fault is None and recipients is not None and self.script.needs_recipients:
            fault = self.script.take(operation, recipients(body))
        if fault is not None and fault.act is Act.SLOW:
            await asyncio.sleep(fault.seconds)
            fault = None
        if fault is not None and fault.act is Act.RESPOND:
            return self._scripted(fault)
        if fault is not None and fault.act is Act.HANG:
            return await self.hang(request)
        verdict = await examine(body)
        if isinstance(verdict, web.Response):
            self.inbox.refused[verdict.status] += 1
            return verdict
        await verdict.commit()
        return verdict.response if fault is None else await self._after_acceptance(fault, request)

    async def _after_acceptance(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        if fault.act is Act.CUT_AFTER_ACCEPT:
            return self.cut(request)
        if fault.act is Act.HANG_AFTER_ACCEPT:
            return await self.hang(request)
        return self._scripted(fault)

    def _scripted(self, fault: Fault) -> web.Response:
        self.inbox.refused[fault.status] += 1
        body = self.default_body(fault.status) if fault.body is None else fault.body
        if isinstance(body, str):
            return web.Response(text=body, status=fault.status, headers=fault.headers)
        return json_response(body, fault.status, fault.headers)

    @staticmethod
    def cut(request: web.Request) -> web.Response:
        """Reset the connection; the returned response is never sent."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def hang(self, request: web.Request) -> web.Response:
        """Do not respond until the client disconnects (which cancels this), `release`, or the stand-in stops."""
        await self.until_released()
        return self.cut(request)

    async def until_released(self) -> None:
        """Wait for the next `release`, or for the stand-in to stop."""
        await self._released.wait()

    def release(self) -> None:
        """Reset the connections of all hanging requests."""
        self._released.set()
        self._released = asyncio.Event()

    def control_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/__standin__/inbox", self._show_inbox),
            web.delete("/__standin__/inbox", self._clear_inbox),
            web.get("/__standin__/script", self._show_script),
            web.post("/__standin__/script", self._add_to_script),
            web.delete("/__standin__/script", self._clear_script),
            web.get("/__standin__/account", self._show_account),
            web.post("/__standin__/account", self._set_account),
        ]

    async def _show_inbox(self, request: web.Request) -> web.Response:
        mails: list[Mail] = [] if request.query.get("counters") else self.inbox.messages
        within = request.query.get("within_seconds")
        busiest = {} if within is None else {"max_within": self.inbox.max_within(float(within))}
        return json_response({"counters": self.inbox.counters(), "messages": mails, **busiest})

    async def _clear_inbox(self, request: web.Request) -> web.Response:
        self.inbox.clear()
        return web.Response(status=204)

    async def _show_script(self, request: web.Request) -> web.Response:
        return json_response({"waiting": self.script.waiting, "acted": self.script.acted})

    async def _add_to_script(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            order = msgspec.json.decode(body)
            if isinstance(order, dict) and "chaos" in order:
                self.script.set_chaos(msgspec.convert(order, _ChaosOrder).chaos)
            else:
                faults = order if isinstance(order, list) else [order]
                for fault in msgspec.convert(faults, list[Fault]):
                    self.script.add(fault)
        except (msgspec.MsgspecError, ValueError) as error:
            return json_response({"error": str(error)}, 400)
        return web.Response(status=204)

    async def _clear_script(self, request: web.Request) -> web.Response:
        self.script.clear()
        return web.Response(status=204)

    async def _show_account(self, request: web.Request) -> web.Response:
        return json_response({"state": self.account, "states": self.account_states})

    async def _set_account(self, request: web.Request) -> web.Response:
        try:
            self.account = str((await request.json())["state"])
        except (ValueError, KeyError, TypeError) as error:
            return json_response({"error": str(error)}, 400)
        return web.Response(status=204)
