"""Write the head of a request."""

from collections.abc import Iterable

from relay.platform.http.errors import InvalidRequest

_BODILESS = ("GET", "HEAD", "OPTIONS", "DELETE")


def request_head(method: str, target: str, authority: str, headers: Iterable[tuple[str, str]], body_size: int) -> bytes:
    """Return request line and headers, with Host and Content-Length. Raises `InvalidRequest`, without the value at fault."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {authority}"]
    # A method that usually has a body gets the length even of none (RFC 9110 8.6): some servers refuse it with 411 otherwise.
    if body_size or method not in _BODILESS:
        lines.append(f"Content-Length: {body_size}")
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join((*lines, "", ""))
    # One pass over the whole head: any line break besides those above would begin a header, or a request, of another's making.
    breaks = len(lines) + 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head or lines[0].count(" ") != 2:
        raise InvalidRequest("InvalidHeader")
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidRequest("InvalidHeader") from None
