"""Split a URL into the server to connect to and the target of the request line."""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from relay.platform.http.errors import InvalidRequest

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AS_IT_IS = "!$%&'()*+,/:;=?@[]~"
"""Characters of a path or query (RFC 3986) besides letters, digits and `-._`; and `%`, for what is encoded already."""
_NOT_A_TARGET = re.compile(r"[\x00-\x20\x7f]")


class Origin(NamedTuple):
    """A server: connections to it are interchangeable."""

    scheme: str
    host: str
    port: int

    @property
    def is_secure(self) -> bool:
        """Whether connections use TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Url(NamedTuple):
    """A URL whose target (path and query) is encoded."""

    origin: Origin
    target: str


@lru_cache(maxsize=256)
def parse_url(text: str) -> Url:
    """Split a URL. Raises `InvalidRequest` if it is not a URL, or has a user or password, which Relay never sends in a URL."""
    try:
        parts = urlsplit(text)
        port, host = parts.port, _host(parts.hostname or "")
    except ValueError as error:
        raise InvalidRequest("InvalidURL") from error
    # `urlsplit` drops line breaks and tabs silently.
    is_complete = parts.scheme in _DEFAULT_PORTS and host and port != 0
    # IDNA turns U+00A0 into a space.
    if not is_complete or "@" in parts.netloc or _NOT_A_TARGET.search(text) or " " in host:
        raise InvalidRequest("InvalidURL")
    target = quote(parts.path or "/", safe=_AS_IT_IS)
    if parts.query:
        target += f"?{quote(parts.query, safe=_AS_IT_IS)}"
    return Url(Origin(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme]), target)


def _host(name: str) -> str:
    return name if name.isascii() else name.encode("idna").decode()
