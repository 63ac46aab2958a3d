"""Send one signed webhook request (standardwebhooks.com): to checked addresses only, without redirects."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.events.webhooks.address_guard import Forbidden, Guard, url_fault
from relay.platform.http.client import HttpClient, Timeouts
from relay.platform.http.errors import NoResponse
from relay.platform.http.url import parse_url

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
MAX_CONNECTIONS = 64
"""Connections to all receivers together: callers choose how many receivers there are."""
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
        # The guard resolves names, so that connections are made to checked addresses only.
        self._client = HttpClient(limit=MAX_CONNECTIONS, resolve=guard.addresses)

    async def post(self, url: str, name: str, body: bytes, *, media_type: str, secrets: Sequence[str]) -> PostResult:
        """Post a body under its id, signed with each secret. Never raises for a fault of the receiver or the network."""
        began = self._timer()
        if fault := url_fault(url, allows_loopback=self.guard.allows_loopback):
            return PostResult(error=f"forbidden: {fault}")
        headers = {
            "Content-Type": media_type,
            "User-Agent": "Relay-Webhooks/1",
            "Accept-Encoding": "identity",
            **signature(name, self._clock(), body, secrets),
        }
        result = await self._exchange(url, body, headers)
        return msgspec.structs.replace(result, seconds=round(self._timer() - began, 3))

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostResult:
        timeouts = Timeouts(connect_seconds=CONNECT_SECONDS, total_seconds=self._total_seconds)
        try:
            response = await self._client.request(
                "POST", parse_url(url), headers=headers, body=body, timeouts=timeouts, max_body_bytes=MAX_READ
            )
        except NoResponse as error:
            is_forbidden = isinstance(error.__cause__, Forbidden)
            return PostResult(error=f"forbidden: {error.__cause__}" if is_forbidden else error.reason)
        return PostResult(status=response.status, retry_after=response.headers.get("retry-after", ""))


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
