"""Calls the API of a relay by its URL and a client key. Every command except `init` uses it."""

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec

LOCAL_URL = Path(".local/url")
LOCAL_KEY = Path(".local/client-key")
DEFAULT_URL = "http://127.0.0.1:7071"
TRIES = 4
TIMEOUT_SECONDS = 60.0


class RemoteError(Exception):
    """The relay refused the call, or could not be reached. The text is for the user; the command ends with `exit_code`.

    `error` is the API's error object, empty if there was none; `status` is 0 if no response came.
    """

    def __init__(self, text: str, *, exit_code: int, error: Mapping[str, Any] | None = None, status: int = 0) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        self.error = error or {}
        self.status = status


REFUSED, UNAVAILABLE, BAD_RESULT = 1, 3, 4
"""Exit codes: the relay refused (correct the call); it is unreachable or busy (retry); done, with a bad result. 2 is a wrong
command line."""


class Remote:
    """Calls the API. Retries calls that are safe to repeat while the relay is busy or unreachable.

    A relay that never answered, and where nothing listens, is reported at once: the URL is wrong, or Relay does not run.
    """

    def __init__(
        self,
        url: str,
        key: str,
        transport: httpx2.BaseTransport | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._sleep = sleep
        self._may_return = False
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            transport=transport,
            verify=trust_of(url),
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        is_repeatable: bool = False,
        waits_for_start: bool = False,
    ) -> Any:
        """Return the decoded response (None when it is empty). Raises `RemoteError`.

        `is_repeatable`: a repetition of this POST has no second effect. `waits_for_start`: retry even if nothing listens yet.
        """
        self._may_return |= waits_for_start
        body = msgspec.json.encode(json) if json is not None else content
        sent = {**({"Content-Type": "application/json"} if json is not None else {}), **(headers or {})}
        # Another POST without an idempotency key could take effect twice; everything else may be retried.
        is_safe = is_repeatable or method != "POST" or "Idempotency-Key" in sent
        response = self._try(method, self._address(path), body, sent, query, tries=TRIES if is_safe else 1)
        if response.status_code >= 400:
            raise _refusal(response)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return msgspec.json.decode(response.content) if response.content and is_json else response.content or None

    def pages(self, path: str, query: Mapping[str, Any] | None = None, *, limit: int | None = None) -> Iterator[Any]:
        """Yield the elements of a list, page by page, at most `limit`. Raises `RemoteError`."""
        page = self.call("GET", path, query=query)
        count = 0
        while True:
            for element in page["value"]:
                if limit is not None and count >= limit:
                    return
                yield element
                count += 1
            if not page.get("next_link") or (limit is not None and count >= limit):
                return
            page = self.call("GET", page["next_link"])

    def export(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[bytes]:
        """Yield the pages of an export, of which the header `Link` names the next. Raises `RemoteError`."""
        while path:
            response = self._try("GET", self._address(path), None, {}, query, tries=TRIES)
            if response.status_code >= 400:
                raise _refusal(response)
            yield response.content
            path, query = response.links.get("next", {}).get("url", ""), None

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _address(self, path: str) -> str:
        # A next_link is an absolute URL. Only its path is used if it names another host, which must not get the key.
        if path.startswith(("http://", "https://")):
            if not path.startswith(f"{self.url}/"):
                path = "/" + path.split("/", 3)[3]
            else:
                return path
        return f"{self.url}{path}"

    def _try(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        query: Mapping[str, Any] | None,
        *,
        tries: int,
    ) -> httpx2.Response:
        chosen = {name: str(value) for name, value in (query or {}).items() if value is not None}
        for attempt in range(1, tries + 1):
            is_last = attempt == tries
            try:
                response = self._client.request(method, url, content=body, headers=headers, params=chosen or None)
            except httpx2.HTTPError as error:
                root = _root_of(error)
                if is_last or (_is_certain(root) and not self._may_return):
                    reason = getattr(root, "strerror", None) or type(error).__name__
                    text = f"{self.url} cannot be reached ({reason}). Check the URL and that Relay runs."
                    raise RemoteError(text, exit_code=UNAVAILABLE) from error
                self._sleep(0.5 * attempt)
                continue
            self._may_return = True
            if is_last or response.status_code not in (429, 503):
                return response
            self._sleep(_pause_seconds(response.headers.get("retry-after", "")))
        raise AssertionError("unreachable")


def _pause_seconds(retry_after: str) -> float:
    """Return how long to wait before the next try. Relay sends seconds; a proxy may send a date (RFC 9110 section 10.2.3)."""
    return min(10.0, float(retry_after)) if retry_after.isdecimal() else 1.0


def _root_of(error: BaseException) -> BaseException:
    """Return the first cause of an error. httpcore names its own as the context only."""
    before = error.__cause__ or error.__context__
    return error if before is None else _root_of(before)


def _is_certain(root: BaseException) -> bool:
    """Return whether a first call failed for a reason that another try within seconds does not change."""
    if isinstance(root, socket.gaierror):
        return root.errno != socket.EAI_AGAIN  # a name server that does not answer
    return isinstance(root, ConnectionRefusedError | ssl.SSLCertVerificationError)


def trust_of(url: str) -> ssl.SSLContext | bool:
    """Return the system's certificates for HTTPS. Loading them costs more than a call, so HTTP gets a context without any."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.lower().startswith("http://") else True


def find_remote(url: str | None, key: str | None) -> Remote:
    """Choose the relay: by option, environment (`RELAY_URL`, `RELAY_KEY`) or local run. Raises `RemoteError`."""
    key = find_key(key)
    if not key:
        text = "No client key. Give --key, set RELAY_KEY, or run this in the folder where `make run` was started."
        raise RemoteError(text, exit_code=2)
    chosen = find_url(url)
    if not chosen.lower().startswith(("http://", "https://")):
        raise RemoteError(f"{chosen} is not a URL: it must begin with https:// or http://.", exit_code=2)
    return Remote(chosen, key)


def find_url(url: str | None) -> str:
    """Return the relay's URL: by option, environment or local run."""
    return url or os.environ.get("RELAY_URL") or (LOCAL_URL.read_text().strip() if LOCAL_URL.exists() else DEFAULT_URL)


def find_key(key: str | None) -> str:
    """Return the client key: by option, environment or local run; empty if there is none."""
    key = key or os.environ.get("RELAY_KEY") or ""
    return LOCAL_KEY.read_text().strip() if not key and LOCAL_KEY.exists() else key


def _refusal(response: httpx2.Response) -> RemoteError:
    try:
        error = msgspec.json.decode(response.content)["error"]
        message, details = str(error["message"]), error.get("details", ())
        lines = [f"{detail['target']}: {detail['message']}" for detail in details]
        # The message of a response with one problem is usually that problem.
        if [detail["message"] for detail in details] != [message]:
            lines = [message, *(f"  {line}" for line in lines)]
    except (msgspec.MsgspecError, KeyError, TypeError):
        error, lines = {}, [f"The relay returned status {response.status_code}."]
    exit_code = UNAVAILABLE if response.status_code in (429, 502, 503, 504) else REFUSED
    return RemoteError("\n".join(lines), exit_code=exit_code, error=error, status=response.status_code)
