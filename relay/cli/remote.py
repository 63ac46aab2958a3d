"""A relay at an address, called with a key: what every command but `init` talks to."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec

LOCAL_URL = "http://127.0.0.1:7071"
LOCAL_KEY = Path(".local/client-key")
TRIES = 4
TIMEOUT_SECONDS = 60.0


class RemoteError(Exception):
    """The relay refused, or could not be reached. The text is what to show; `exit_code` what to end with.

    `error` is the API's error object, when there is one.
    """

    def __init__(self, text: str, *, exit_code: int, error: Mapping[str, Any] | None = None, status: int = 0) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        self.error = error or {}
        self.status = status


REFUSED, AWAY = 1, 3
"""Exit codes: the relay refused (correct the call); it is away or busy (try again). 2 is a wrong command line."""


class Remote:
    """Calls the API. Repeats what is safe to repeat when the relay is busy or away."""

    def __init__(self, url: str, key: str, transport: httpx2.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_SECONDS, transport=transport
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
    ) -> Any:
        """The decoded answer (None when it is empty). Raises `RemoteError`."""
        body = msgspec.json.encode(json) if json is not None else content
        sent = {**({"Content-Type": "application/json"} if json is not None else {}), **(headers or {})}
        chosen = {name: str(value) for name, value in (query or {}).items() if value is not None}
        # A POST without a key might be done twice; everything else may be repeated.
        is_safe = method != "POST" or "Idempotency-Key" in sent
        answer = self._try(method, self._address(path), body, sent, chosen, tries=TRIES if is_safe else 1)
        if answer.status_code >= 400:
            raise _refusal(answer)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return msgspec.json.decode(answer.content) if answer.content and is_json else answer.content or None

    def pages(self, path: str, query: Mapping[str, Any] | None = None, *, limit: int | None = None) -> Iterator[Any]:
        """Every element of a list, page by page, at most `limit`. Raises `RemoteError`."""
        answer = self.call("GET", path, query=query)
        given = 0
        while True:
            for element in answer["value"]:
                if limit is not None and given >= limit:
                    return
                yield element
                given += 1
            if not answer.get("next_link") or (limit is not None and given >= limit):
                return
            answer = self.call("GET", answer["next_link"])

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _address(self, path: str) -> str:
        # A next_link is a whole address; it must be this relay's, or the key would go elsewhere.
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
        query: Mapping[str, str],
        *,
        tries: int,
    ) -> httpx2.Response:
        for attempt in range(1, tries + 1):
            is_last = attempt == tries
            try:
                answer = self._client.request(
                    method, url, content=body, headers=dict(headers), params=dict(query) or None
                )
            except httpx2.HTTPError as error:
                if is_last:
                    text = (
                        f"{self.url} cannot be reached ({type(error).__name__}). Is the address right, and does it run?"
                    )
                    raise RemoteError(text, exit_code=AWAY) from error
                time.sleep(0.5 * attempt)
                continue
            if is_last or answer.status_code not in (429, 503):
                return answer
            time.sleep(min(10.0, float(answer.headers.get("retry-after", "1"))))
        raise AssertionError("unreachable")


def find_remote(url: str | None, key: str | None) -> Remote:
    """The relay that options, environment (`RELAY_URL`, `RELAY_KEY`) or a local run name. Raises `RemoteError`."""
    url = url or os.environ.get("RELAY_URL") or LOCAL_URL
    key = key or os.environ.get("RELAY_KEY")
    if not key and LOCAL_KEY.exists():
        key = LOCAL_KEY.read_text().strip()
    if not key:
        text = "There is no key: give --key, set RELAY_KEY, or run this in a folder where `make run` was started."
        raise RemoteError(text, exit_code=2)
    return Remote(url, key)


def _refusal(answer: httpx2.Response) -> RemoteError:
    try:
        error = msgspec.json.decode(answer.content)["error"]
        lines = [str(error["message"])]
        lines += [f"  {detail['target']}: {detail['message']}" for detail in error.get("details", ())]
    except (msgspec.MsgspecError, KeyError, TypeError):
        error, lines = {}, [f"The relay answered {answer.status_code}."]
    exit_code = AWAY if answer.status_code in (429, 502, 503, 504) else REFUSED
    return RemoteError("\n".join(lines), exit_code=exit_code, error=error, status=answer.status_code)
