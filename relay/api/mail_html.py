"""Show a mail's HTML as a page for a frame, as it was written, with scripts and remote content blocked.

A frame sends no `Authorization`, and a key must not be in a URL. So the reader of a mail gets a signed URL of its HTML: signed
with the reader's secret, for this one mail, valid for some minutes.

The page's own content security policy blocks everything active, wherever it is opened: no script, no remote content (so no sender
learns that the mail was read), no form, no plug-in, an origin of its own (`sandbox`), and only Relay's own pages may frame it.
Inline styles, and images that are part of the mail, remain.
"""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import unquote, urlencode

import msgspec

from relay.api.http import Response, content_security_policy
from relay.api.services import Call
from relay.api.text_checks import whole_number
from relay.clients.keys import Role
from relay.clients.registry import Client
from relay.clients.roles import CONTENT_READERS
from relay.core.errors import Refusal
from relay.mime.reader import File, Reading

LASTS = timedelta(minutes=15)
_PURPOSE = "html"
_MAX_INLINE_BYTES = 4_000_000
"""Total size of the inline images that the page includes; larger ones are left out."""

HEADERS = {
    "Content-Type": "text/html",
    "Content-Security-Policy": content_security_policy(
        {"style-src": "'unsafe-inline'", "img-src": "data:", "frame-ancestors": "'self'", "sandbox": ""}
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    # The browser must not look up the host names of links in advance.
    "X-DNS-Prefetch-Control": "off",
}
_REACHING = re.compile(r"<(?=(?:link|i?frame|frameset|fencedframe|portal|object|embed)[\s/>])", re.IGNORECASE)
"""Elements for which a browser may open a connection that no policy covers: `<link rel=preconnect>`, and frames, to whose
hosts Chromium connects before it checks the policy. They are renamed, so that a browser does not act on them."""
_ANCHOR = re.compile(r"""<a(?:rea)?\b(?:[^<>"']|"[^"]*"|'[^']*')*+>""", re.IGNORECASE)
_HREF = re.compile(r"\bhref(?=\s*=)", re.IGNORECASE)
_LINKS_LOOK = b"<style>:where([data-href]){color:#0b57d0;text-decoration:underline}</style>"
"""Links are disabled in the frame, but look like links: following one would connect before the policy forbids it."""
_CID = re.compile(r"""cid:([^"'\s<>()]+)""", re.IGNORECASE)


def link(call: Call, path: str, **values: str) -> str:
    """Sign the URL of a mail's HTML for the caller, valid for `LASTS`; `values` go into its query."""
    until = int((call.services.clock() + LASTS).timestamp())
    signature = _signature(call.client, path, until, values)
    caller = {"reader": call.client.name, "role": call.client.role}
    query = {**values, **caller, "until": str(until), "signature": signature}
    return f"{call.base_url}{path}?{urlencode(query)}"


async def holder(call: Call, *names: str) -> Client:
    """Return the client that signed this request's URL, in the role that it had when it got the URL.

    `names` are the query parameters that are signed too. Raises `Refusal` (403) if the signature is invalid or has expired.
    """
    query = call.request.query
    client, until = await _reader(call), whole_number(query.get("until", ""))
    if client is None or until is None:
        raise _invalid()
    values = {name: query.get(name, "") for name in names}
    expected = _signature(client, call.request.path, until, values)
    is_signed = hmac.compare_digest(expected.encode(), query.get("signature", "").encode())
    if not is_signed or until < call.services.clock().timestamp():
        raise _invalid()
    call.services.quotas.requests.take(client, 1)
    return client


async def _reader(call: Call) -> Client | None:
    """Return the client that the URL names, in the role that it names, if that role may still read content; else None."""
    query = call.request.query
    client, role = (await call.services.clients.all()).get(query.get("reader", "")), query.get("role", "")
    if client is None or client.is_disabled or role not in client.roles & CONTENT_READERS:
        return None
    return client.acting_as(Role(role))


def page(reading: Reading) -> Response:
    """Return a mail's HTML with its inline images. Raises `Refusal` (404) for a mail without HTML."""
    if reading.html is None:
        raise Refusal(404, "not_found", "This mail has no html.")
    html = _ANCHOR.sub(lambda found: _HREF.sub("data-href", found[0]), _REACHING.sub("<not-", reading.html))
    # The style is last, so that a doctype stays first: without it a browser uses quirks mode.
    body = _with_images(html, reading.files).encode("utf-8", "replace") + _LINKS_LOOK
    return Response(headers=HEADERS, body=body)


def _with_images(html: str, files: Iterable[File]) -> str:
    images: dict[str, str] = {}
    left = _MAX_INLINE_BYTES
    for file in files:
        if file.content_id and file.type.startswith("image/") and len(file.content) <= left:
            left -= len(file.content)
            encoded = base64.b64encode(file.content).decode()
            images[file.content_id.strip().strip("<>")] = f"data:{file.type};base64,{encoded}"
    room = 2 * _MAX_INLINE_BYTES

    def image(found: re.Match[str]) -> str:
        nonlocal room
        shown = images.get(unquote(found[1]), "")
        room -= len(shown)
        # A mail may name the same image many times: limit the total size.
        return shown if shown and room >= 0 else found[0]

    return _CID.sub(image, html)


def _signature(client: Client, path: str, until: int, values: Mapping[str, str]) -> str:
    signed = msgspec.json.encode([_PURPOSE, client.role, unquote(path), until, sorted(values.items())])
    return base64.urlsafe_b64encode(hmac.digest(client.mac_key, signed, "sha256")[:18]).decode()


def _invalid() -> Refusal:
    return Refusal(
        403,
        "link_not_valid",
        "This link has expired or its signature is invalid. Fetch the message again for a new `html_url`.",
    )
