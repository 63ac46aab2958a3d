"""Read responses from the bytes of a connection, with httptools (Node's llhttp), within bounds."""

from collections.abc import Mapping
from typing import Any

import httptools
import msgspec

MAX_FRAMING_BYTES = 65_536
"""Bytes that may come besides the body: the head, heads of interim responses, framing of chunks, trailers."""
_FRAMING_PER_BYTE = 8
"""Further bytes of framing for each byte of the body. A chunk of one byte has five."""
MAX_HEADERS = 256
MAX_INTERIM = 16
"""Interim responses (RFC 9110 15.2) before the response itself."""


class RawResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response. Header names are in lower case; of repeated headers, the first counts.

    `is_whole` is false if the body was cut: at the limit, at the timeout, or because the connection was lost.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    is_whole: bool = True


class InvalidResponse(Exception):
    """The received bytes are not an HTTP/1.1 response, or exceed the bounds."""


class ResponseReader:
    """Reads one response after another. Call `expect` before each."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        # A middlebox that folds a header must not make the outcome of each request unknown (RFC 9112 5.2: a user agent reads
        # folded headers; 2.2: and may read a bare LF). Framing stays strict: no two lengths, and no length with chunks.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._is_expected = False
        self.is_complete = False
        """Whether nothing more of the response is wanted."""
        self.is_reusable = False
        """Whether the connection can serve another request."""

    def expect(self, *, max_body_bytes: int, is_head: bool) -> None:
        """Begin to read a response: to a HEAD request if `is_head`, which has no body."""
        self._max_body_bytes = max_body_bytes
        self._is_head = is_head
        self._is_expected = True
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._body_bytes = self._interim = self._header_count = 0
        self.is_complete = self.is_reusable = False
        self.received = 0
        """Bytes received."""
        self.status = 0
        """The status; 0 until the head is complete."""

    def feed(self, data: bytes) -> None:
        """Read received bytes. Raises `InvalidResponse`, unless the response was already complete."""
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_complete:
                raise InvalidResponse(type(error).__name__) from error
            # Bytes after the response: another response without a request, or garbage.
            self.is_reusable = False
        framing = self.received - self._body_bytes
        if not self.is_complete and framing > MAX_FRAMING_BYTES + _FRAMING_PER_BYTE * self._body_bytes:
            raise InvalidResponse("TooLarge")

    def response(self, *, is_at_end: bool = False) -> RawResponse | None:
        """Return the response, cut where it is. None before its head is complete. `is_at_end`: the server sends no more."""
        if not self.status:
            return None
        is_whole = self.is_complete or (is_at_end and self._ends_with_connection())
        is_whole = is_whole and self._body_bytes <= self._max_body_bytes
        return RawResponse(status=self.status, headers=self._headers, body=bytes(self._body), is_whole=is_whole)

    def _ends_with_connection(self) -> bool:
        """Return whether the body has no length of its own (RFC 9112 6.3). With any transfer coding, it may be cut."""
        return "transfer-encoding" not in self._headers and "content-length" not in self._headers

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if not self._is_expected:
            # The next request would take this response for its own.
            raise InvalidResponse("a response without a request")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, also for the trailers of a chunked body."""
        self._header_count += 1
        if self._header_count > MAX_HEADERS:
            raise InvalidResponse("too many headers")
        if not self.status:
            self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
            if self._is_head:
                # The parser waits for the body that the headers announce. So this connection has no other request.
                self._is_expected, self.is_complete = False, True

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        room = self._max_body_bytes - self._body_bytes
        self._body_bytes += len(data)
        if room > 0:
            self._body += data[:room]
        if len(data) > room:
            self._is_expected, self.is_complete = False, True

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.status:
            self.is_reusable = not self.is_complete and self._parser.should_keep_alive()
            self._is_expected, self.is_complete = False, True
            return
        # Interim: the response itself follows.
        self._interim += 1
        self._headers = {}
        if self._interim > MAX_INTERIM:
            raise InvalidResponse("too many interim responses")
