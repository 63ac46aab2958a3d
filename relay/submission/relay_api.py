"""Call the relay for the submission server: find the client of a key, and post a message."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from relay import __version__
from relay.clients.policy import Policy
from relay.platform.concurrency import LARGE_BYTES
from relay.submission.envelope import Envelope
from relay.submission.refusals import RefusalKind, refusal_kind

SECONDS = 60.0
"""Timeout of posting one message."""
CALLER_SECONDS = 10.0
"""Timeout of finding the client of a key, and of opening a connection."""
TRIES = 3
"""Tries of a call that is safe to repeat."""
MAX_PAUSE_SECONDS = 2.0
"""The longest pause between two tries. The client waits, and its message is in memory."""
CONNECTIONS = 128
"""Connections to the relay. More callers share more queue entries (group commit)."""
KEEPALIVE_SECONDS = 4.0
"""How long an idle connection is kept. The local Functions host closes it after five seconds."""

type Sleep = Callable[[float], Awaitable[None]]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The client that a key belongs to. `policy` holds the rules that can be checked before the message is known."""

    name: str
    may_send: bool
    policy: Policy | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The relay has stored the message durably."""

    id: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The relay refused, or did not respond. The text contains no addresses."""

    kind: RefusalKind
    text: str
    code: str = ""
    retry_after: float = 0.0


class _Rules(msgspec.Struct, frozen=True):
    """The members of a policy that are used here; a newer relay may have more."""

    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ("*",)
    redirect_to: str | None = None
    max_bytes: int | None = None
    ip_ranges: tuple[str, ...] = ()


class _Me(msgspec.Struct, frozen=True):
    name: str
    operations: tuple[str, ...] = ()
    policy: _Rules | None = None


class _Answer(msgspec.Struct, frozen=True):
    """A response; status 0 if none came, with the name of the error."""

    status: int
    body: bytes
    retry_after: float = 0.0


class RelayApi:
    """The relay at one URL. `close` releases its connections."""

    def __init__(self, url: str, *, sleep: Sleep = asyncio.sleep) -> None:
        import aiohttp

        self._url = url.rstrip("/")
        self._sleep = sleep
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"relay-smtp/{__version__}"},
        )
        # Not `trust_env`: aiohttp would read the environment and netrc for each call, in threads.
        self._proxy = _proxy_for(self._url)

    async def caller(self, key: str) -> Caller | Refused:
        """Return the client of a key."""
        answer = await self._call("GET", "/v1/me", key, seconds=CALLER_SECONDS)
        if answer.status != 200:
            return _refused(answer)
        try:
            me = msgspec.json.decode(answer.body, type=_Me)
        except msgspec.MsgspecError:
            return Refused(kind=RefusalKind.NO_ACCESS, text="The URL is not that of a relay.")
        policy = Policy(**msgspec.structs.asdict(me.policy)) if me.policy is not None else None
        return Caller(name=me.name, may_send="SendMessage" in me.operations, policy=policy)

    async def send(self, key: str, mail: bytes, envelope: Envelope, *, once: str = "") -> Accepted | Refused:
        """Post a message. With the idempotency key `once` the call is repeated if its outcome is unknown."""
        headers = {"Content-Type": "message/rfc822", **envelope.headers} | ({"Idempotency-Key": once} if once else {})
        answer = await self._call(
            "POST",
            "/v1/messages",
            key,
            headers=headers,
            query=envelope.query,
            content=mail,
            tries=TRIES if once else 1,
        )
        if answer.status != 202:
            return _refused(answer)
        try:
            return Accepted(id=str(msgspec.json.decode(answer.body)["id"]))
        except (msgspec.MsgspecError, KeyError, TypeError):
            return Refused(kind=RefusalKind.RETRY, text="The URL is not that of a relay.")

    async def close(self) -> None:
        """Release the connections."""
        await self._http.close()

    async def _call(
        self,
        method: str,
        path: str,
        key: str,
        *,
        tries: int = 1,
        seconds: float = SECONDS,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> _Answer:
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        for attempt in range(1, tries + 1):
            answer = await self._try(method, f"{self._url}{path}", content, seconds, headers=sent, params=query)
            if attempt == tries or answer.status not in (0, 503):
                break
            await self._sleep(min(MAX_PAUSE_SECONDS, answer.retry_after or 0.5))
        return answer

    async def _try(self, method: str, url: str, content: bytes | None, seconds: float, **request: Any) -> _Answer:
        import aiohttp

        # A large body as bytes would be written at once (aiohttp warns).
        body = io.BytesIO(content) if content is not None and len(content) > LARGE_BYTES else content
        try:
            timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CALLER_SECONDS)
            async with self._http.request(
                method, url, data=body, timeout=timeout, allow_redirects=False, proxy=self._proxy, **request
            ) as response:
                retry_after = response.headers.get("Retry-After", "")
                seconds = float(retry_after) if retry_after.isdigit() else 0.0
                return _Answer(response.status, await response.read(), seconds)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return _Answer(0, type(error).__name__.encode())


def _proxy_for(url: str) -> str | None:
    """Return the HTTP proxy of the environment (`HTTPS_PROXY`, `NO_PROXY` …) for a URL."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _refused(answer: _Answer) -> Refused:
    if answer.status == 0:
        return Refused(kind=RefusalKind.RETRY, text=f"The relay cannot be reached ({answer.body.decode()}).")
    try:
        error = msgspec.json.decode(answer.body)["error"]
        details = [f"{each['target']}: {each['message']}" for each in error.get("details", ())]
        text = "; ".join([str(error["message"]), *details])
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        error, text = {}, f"The relay returned status {answer.status}."
    return Refused(
        kind=refusal_kind(answer.status, error),
        text=text,
        code=str(error.get("code", "")),
        retry_after=answer.retry_after,
    )
