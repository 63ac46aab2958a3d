"""Send one HTTP request to a vendor, and map its response to an outcome by a table of rules. Shared by the HTTP providers.

A lost response is certain if the vendor cannot have the whole request: no connection was made, or it broke while the body
was being written. A timeout during writing is not certain, because a closed socket still sends its buffer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from relay import __version__
from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Unknown, reply_text
from relay.platform.http.client import HttpClient, Timeouts
from relay.platform.http.errors import NotSent, ResponseLost
from relay.platform.http.response import RawResponse
from relay.platform.http.url import parse_url
from relay.providers.vendor_words import own_words

MAX_RESPONSE_BYTES = 262_144
"""Bytes of a response that are read by default. No vendor's error needs more."""
MAX_ERROR_DEPTH, MAX_ERROR_TEXTS = 5, 50
"""The depth to which an error body is searched, and the number of its texts that are used."""
_OWN_HEADERS = {"User-Agent": f"Relay/{__version__}", "Accept-Encoding": "identity"}
"""Sent with each request. Relay asks for uncompressed responses; an error that is compressed anyway matches by status alone."""


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's response. Header names are in lower case. `body` is cut at the limit of the exchange."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text, with U+FFFD for invalid bytes."""
        return self.body.decode("utf-8", "replace")

    @property
    def own_words(self) -> str:
        """The vendor's error codes and messages, without quoted text. If the body is not JSON, its text."""
        decoded = self.decoded()
        texts = [self.text] if decoded is None else list(_said_in(decoded, _SAID, MAX_ERROR_DEPTH))
        return " ".join(own_words(text) for text in texts[:MAX_ERROR_TEXTS])

    @property
    def error_codes(self) -> str:
        """The vendor's error codes alone. Empty if the body is not JSON."""
        return " ".join(list(_said_in(self.decoded(), _CODES, MAX_ERROR_DEPTH))[:MAX_ERROR_TEXTS])

    @property
    def reply(self) -> str:
        """The status and the body, as the journal keeps them."""
        return reply_text(f"{self.status} {self.text}".rstrip())

    def decoded(self) -> Any:
        """Decode the JSON body. None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


_CODES = ("code",)
_SAID = ("code", "message", "error", "error_id", "status")


def _said_in(value: Any, names: tuple[str, ...], depth: int) -> Iterator[str]:
    """Yield these texts of an error body, however they are nested (Graph and ACS: `error`; SendGrid: `errors`)."""
    if depth and isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, str) and name.lower() in names:
                yield member
            else:
                yield from _said_in(member, names, depth - 1)
    elif depth and isinstance(value, list):
        for member in value:
            yield from _said_in(member, names, depth - 1)


class LostResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A missing response. `is_certain`: the vendor cannot have the whole request. `reason` is only the type of the error."""

    is_certain: bool
    reason: str


async def exchange(
    client: HttpClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeouts: Timeouts,
    body: bytes | None = None,
    max_response_bytes: int = MAX_RESPONSE_BYTES,
) -> HttpResponse | LostResponse:
    """Send one request. Redirects are not followed, so that no other server gets the body. A cut body is still a response."""

    async def send() -> RawResponse:
        return await client.request(
            method,
            parse_url(url),
            headers={**_OWN_HEADERS, **headers},
            body=body or b"",
            timeouts=timeouts,
            max_body_bytes=max_response_bytes,
        )

    try:
        try:
            response = await send()
        except ResponseLost as lost:
            if not (lost.is_stale and method == "GET"):
                raise
            response = await send()
    except NotSent as lost:
        return LostResponse(is_certain=True, reason=lost.reason)
    except ResponseLost as lost:
        return LostResponse(is_certain=False, reason=lost.reason)
    return HttpResponse(status=response.status, headers=response.headers, body=response.body)


def lost_outcome(lost: LostResponse, provider_id: str | None = None) -> Deferred | Unknown:
    """Return the outcome of a lost response: deferred if certainly nothing was sent, else unknown."""
    if lost.is_certain:
        return Deferred(code="unreachable", reply=lost.reason)
    return Unknown(code="response_lost", reply=lost.reason, provider_id=provider_id)


def probe_fault(outcome: Outcome) -> RouteFault:
    """Return why a probe failed: a fault of the route, or of the provider if the outcome says nothing about the route."""
    return outcome if isinstance(outcome, RouteFault) else RouteFault(code="provider_unavailable", reply=outcome.reply)


class ResponseRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule for responses with a status from `first` to `last` (or exactly `first`) whose body matches.

    `kind` and `code` are the outcome, `source` documents it. `error` is searched in the vendor's error codes, which no caller
    writes; `pattern` in the body, for vendors that say it in words only. Both ignore case.
    """

    first: int
    last: int = 0
    error: str = ""
    pattern: str = ""
    kind: type[Deferred] | type[Rejected] | type[RouteFault] | type[Unknown]
    code: str
    source: str

    def matches(self, response: HttpResponse) -> bool:
        """Return whether the rule applies to this response."""
        if not self.first <= response.status <= max(self.first, self.last):
            return False
        if self.error and not re.search(self.error, response.error_codes, re.IGNORECASE):
            return False
        if not self.pattern:
            return True
        # Text that a caller or a third party may have written must not hold a route for every client.
        text = response.own_words if self.kind is RouteFault else response.text
        return re.search(self.pattern, text, re.IGNORECASE) is not None


def outcome_by_rules(
    rules: Sequence[ResponseRule], response: HttpResponse, retry_after_seconds: float | None = None
) -> Outcome:
    """Return the outcome of the first rule that matches. Without one, the outcome is unknown."""
    rule = next((rule for rule in rules if rule.matches(response)), None)
    if rule is None:
        return Unknown(code="response_lost", reply=response.reply)
    if rule.kind is Deferred or rule.kind is RouteFault:
        return rule.kind(code=rule.code, reply=response.reply, retry_after_seconds=retry_after_seconds)
    return rule.kind(code=rule.code, reply=response.reply)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds in `Retry-After` (RFC 9110 section 10.2.3): a number or an HTTP date. None without it."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value)) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value) else _until(value, now)
    except (ValueError, OverflowError):
        return None


def _until(date: str, now: datetime) -> float:
    at = parsedate_to_datetime(date)
    # The obsolete asctime form has no zone. HTTP dates are always GMT.
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
