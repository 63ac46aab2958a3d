"""Represent requests and responses independently of any framework; `function_app.py` converts them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec


def content_security_policy(directives: Mapping[str, str]) -> str:
    """Return the policy of a page that may do only what these directives allow."""
    forbidden = {name: "'none'" for name in ("base-uri", "form-action", "frame-ancestors") if name not in directives}
    all_directives = {"default-src": "'none'", **directives, **forbidden}
    return "; ".join(f"{name} {value}".rstrip() for name, value in all_directives.items())


OWN_FILES = {"script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:", "connect-src": "'self'"}
"""The directives of a page whose files and requests are Relay's own."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. Header names are in lower case; `path` begins with `/`; `url` is the whole URL."""

    method: str
    path: str
    url: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """Return the media type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def caller_address(self) -> str:
        """Return the IP address that the platform's front end saw; empty when there is no front end."""
        last = self.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if last.startswith("["):
            return last[1:].partition("]")[0]
        return last.partition(":")[0] if last.count(":") == 1 else last


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP response."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


def file_response(request: Request, content: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """Return a file with its ETag, or 304 if the caller has it already (RFC 9110 section 13.1.2)."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    known = {text.strip().removeprefix("W/") for text in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(status=304, headers={**headers, "ETag": tag})
    return Response(headers={**headers, "ETag": tag, "Content-Type": media_type}, body=content)


def csv_response(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], headers: Mapping[str, str] | None = None
) -> Response:
    """Return a CSV file, with a header line if there are columns.

    A text that a spreadsheet would take for a formula gets an apostrophe. Source: owasp.org/www-community/attacks/CSV_Injection.
    """
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if columns:
        writer.writerow(columns)
    writer.writerows([_without_formula(cell) for cell in row] for row in rows)
    sent = {
        # The host adds the charset to every text.
        "Content-Type": "text/csv",
        "Content-Disposition": f'attachment; filename="{name}"',
        **(headers or {}),
    }
    return Response(headers=sent, body=text.getvalue().encode())


def _without_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell


_encoder = msgspec.json.Encoder()


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a JSON body: a struct of `shapes`, or a list of them."""
    return Response(
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
        body=_encoder.encode(content),
    )
