"""Read the dynamic templates of a SendGrid account (the vendor's OpenAPI file tsg_templates_v3)."""

import time
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import msgspec

from relay.cli.remote import REFUSED, TIMEOUT_SECONDS, UNAVAILABLE, RemoteError

SENDGRID_URL = "https://api.sendgrid.com"
PAGE = 200
"""The vendor's limit."""
_TRIES = 5
_MAX_PAGES = 100
"""An account has at most 300 templates, on two pages."""
_MAX_WAIT_SECONDS = 60.0
_NEEDS_SCOPE = "Create a key with the right Template Engine (read) and set SENDGRID_API_KEY."


class Version(msgspec.Struct, frozen=True):
    """A version of a template. `plain_content` counts only if it is not generated from the HTML."""

    id: str
    name: str = ""
    active: int = 0
    subject: str | None = None
    html_content: str | None = None
    plain_content: str | None = None
    generate_plain_content: bool = True
    test_data: str | None = None


class DynamicTemplate(msgspec.Struct, frozen=True):
    """A template with its versions."""

    id: str
    name: str = ""
    versions: tuple[Version, ...] = ()


class _Metadata(msgspec.Struct, frozen=True):
    next: str | None = None


class _Page(msgspec.Struct, frozen=True):
    result: tuple[DynamicTemplate, ...] = ()
    metadata: _Metadata = msgspec.field(name="_metadata", default=_Metadata())


class SendGridAccount:
    """Reads an account. Waits and retries while SendGrid limits the rate or is unavailable."""

    def __init__(self, url: str, key: str, transport: httpx2.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT_SECONDS, transport=transport)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def templates(self) -> Iterator[DynamicTemplate]:
        """Yield every dynamic template with its versions and their content. Raises `RemoteError`."""
        for listed in self._listed():
            found = self._get(f"/v3/templates/{quote(listed.id, safe='')}", {}, DynamicTemplate)
            if found is not None:  # deleted since
                yield found

    def _listed(self) -> Iterator[DynamicTemplate]:
        query = {"generations": "dynamic", "page_size": str(PAGE)}
        for _ in range(_MAX_PAGES):
            page = self._get("/v3/templates", query, _Page)
            if page is None:
                return
            yield from page.result
            # The address of the next page names SendGrid's host; only its token is used.
            tokens = parse_qs(urlsplit(page.metadata.next or "").query).get("page_token")
            if not tokens:
                return
            query["page_token"] = tokens[0]

    def _get[T](self, path: str, query: Mapping[str, str], shape: type[T]) -> T | None:
        """Return a response, None for 404. Raises `RemoteError`."""
        response = self._try(path, query)
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise _refused(response.status_code)
        try:
            return msgspec.json.decode(response.content, type=shape)
        except msgspec.MsgspecError as error:
            text = f"{self._url} answered with something other than SendGrid's API. Check --sendgrid-url."
            raise RemoteError(text, exit_code=REFUSED) from error

    def _try(self, path: str, query: Mapping[str, str]) -> httpx2.Response:
        for attempt in range(1, _TRIES + 1):
            try:
                response = self._client.get(f"{self._url}{path}", params=dict(query) or None)
            except httpx2.HTTPError as error:
                if attempt == _TRIES:
                    text = f"{self._url} cannot be reached ({type(error).__name__})."
                    raise RemoteError(text, exit_code=UNAVAILABLE) from error
                time.sleep(0.5 * attempt)
                continue
            if attempt == _TRIES or (response.status_code != 429 and response.status_code < 500):
                return response
            time.sleep(_wait(response, attempt))
        raise AssertionError("unreachable")


def _wait(response: httpx2.Response, attempt: int) -> float:
    """Return the seconds until the rate limit is reset (`X-RateLimit-Reset`, a Unix time), or a few."""
    reset = response.headers.get("x-ratelimit-reset", "")
    wanted = float(reset) - time.time() if reset.isdecimal() else float(attempt)
    return min(max(wanted, 0.0), _MAX_WAIT_SECONDS)


def _refused(status: int) -> RemoteError:
    if status == 401:
        return RemoteError(f"SendGrid does not know this key (401). {_NEEDS_SCOPE}", exit_code=REFUSED, status=status)
    if status == 403:
        return RemoteError(f"This key may not read templates (403). {_NEEDS_SCOPE}", exit_code=REFUSED, status=status)
    is_busy = status == 429 or status >= 500
    text = f"SendGrid answered with status {status}." + (" Run the command again later." if is_busy else "")
    return RemoteError(text, exit_code=UNAVAILABLE if is_busy else REFUSED, status=status)
