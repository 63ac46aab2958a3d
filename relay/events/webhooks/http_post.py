"""Send one signed webhook request (standardwebhooks.com): to checked addresses only, without redirects."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from relay.events.webhooks.address_guard import Forbidden, Guard, url_fault

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
MAX_READ = 4_096
"""Bytes read of a response: only its status counts."""


class PostResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a request. `status` is 0 without a response, with the reason in `error`."""

    status: int = 0
    error: str = ""
    seconds: float = 0.0
    retry_after: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the receiver accepted it: any 2xx."""
        return 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver unsubscribed: 410 Gone."""
        return self.status == 410


class Poster:
    """Sends webhook requests. Belongs to one event loop."""

    def __init__(
        self,
        guard: Guard,
        clock: Callable[[], datetime],
        *,
        total_seconds: float = TOTAL_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.guard = guard
        self._clock = clock
        self._total_seconds = total_seconds
        self._timer = timer
        self._session: Any = None

    async def post(self, url: str, name: str, body: bytes, *, media_type: str, secrets: Sequence[str]) -> PostResult:
        """Post a body under its id, signed with each secret. Never raises for a fault of the receiver or the network."""
        began = self._timer()
        if fault := url_fault(url, allows_loopback=self.guard.allows_loopback):
            return PostResult(error=f"forbidden: {fault}")
        headers = {
            "Content-Type": media_type,
            "User-Agent": "Relay-Webhooks/1",
            **signature(name, self._clock(), body, secrets),
        }
        result = await self._exchange(url, body, headers)
        return msgspec.structs.replace(result, seconds=round(self._timer() - began, 3))

    async def close(self) -> None:
        """Release connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostResult:
        import aiohttp

        try:
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as response:
                await response.content.read(MAX_READ)
                return PostResult(status=response.status, retry_after=response.headers.get("Retry-After", ""))
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Forbidden):
                return PostResult(error=f"forbidden: {error.os_error}")
            return PostResult(error=type(error).__name__)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return PostResult(error=type(error).__name__)

    def _open(self) -> Any:
        """Return the session. Its resolver is the guard, so that it connects to checked addresses only."""
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_resolver(self.guard), use_dns_cache=False, limit=64),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._total_seconds, sock_connect=CONNECT_SECONDS),
                auto_decompress=False,
            )
        return self._session


def signature(name: str, at: datetime, body: bytes, secrets: Sequence[str]) -> Mapping[str, str]:
    """Make the three headers of Standard Webhooks. During the rotation of a secret there are two signatures."""
    from standardwebhooks import Webhook

    # The library ignores the time zone and signs for UTC; our times are in UTC.
    signed = [Webhook(secret).sign(msg_id=name, timestamp=at, data=body.decode()) for secret in secrets]
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signed),
    }


def _resolver(guard: Guard) -> Any:
    import socket

    from aiohttp.abc import AbstractResolver, ResolveResult

    class Checked(AbstractResolver):
        """aiohttp's resolver interface over the guard."""

        async def resolve(
            self,
            host: str,
            port: int = 0,
            family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's signature
        ) -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for address in await guard.addresses(host, port)
            ]

        async def close(self) -> None:
            """Do nothing: the guard holds no resources."""

    return Checked()
