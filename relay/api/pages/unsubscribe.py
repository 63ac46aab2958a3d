"""Handle requests to unsubscribe links: programs post once (RFC 8058), people are asked first, and a GET changes nothing.

The link grants access: there is no cookie and no key, so a page of another site has nothing to misuse.
"""

from collections.abc import Sequence

import msgspec

from relay.api.http import Response, content_security_policy
from relay.api.operation import Operation, Tag, Unaudited
from relay.api.services import Call
from relay.core.errors import Refusal
from relay.unsubscribe import form, pages
from relay.unsubscribe.links import ONE_CLICK
from relay.unsubscribe.preferences import Holder

_PATH = "/unsubscribe/{token}/{message}"
_HEADERS = {
    "Content-Type": "text/html",
    "Content-Security-Policy": content_security_policy({"style-src": pages.STYLE_SOURCE, "form-action": "'self'"}),
    "X-Robots-Tag": "noindex, nofollow",
    "Vary": "Accept-Language",
}
_NAME, _, _VALUE = ONE_CLICK.partition("=")

TAG = Tag(
    name="Unsubscribe",
    refused="pages.unsubscribe:refused",
    operations=(
        Operation(name="ShowUnsubscribe", endpoint=f"GET {_PATH}", handler="pages.unsubscribe:show", roles=None),
        Operation(
            name="Unsubscribe",
            endpoint=f"POST {_PATH}",
            handler="pages.unsubscribe:change",
            roles=None,
            audit=Unaudited.REPORTS,
        ),
    ),
)


async def show(call: Call) -> Response:
    """Handle GET: ask whether to unsubscribe, or show the preferences."""
    holder = await _holder(call)
    languages = _languages(call)
    subscriber = holder.subscriber
    if call.request.query.get("page") == pages.CHOOSE:
        preferences = await call.services.preferences.of(subscriber)
        return _page(pages.choices(preferences, subscriber.email, languages))
    topic = await call.services.preferences.topic_of(subscriber)
    return _page(pages.question(topic, subscriber.email, languages))


async def change(call: Call) -> Response:
    """Handle POST: unsubscribe, or save the preferences. A repeated request changes nothing."""
    holder = await _holder(call)
    languages = _languages(call)
    subscriber, preferences = holder.subscriber, call.services.preferences
    fields = form.read(call.request.headers.get("content-type", ""), call.request.body)
    if fields.get(_NAME) == [_VALUE]:
        await preferences.unsubscribe(holder)
        topic = await preferences.topic_of(subscriber)
        return _page(pages.confirmation(topic, subscriber.email, languages))
    if call.request.query.get("page") != pages.CHOOSE or "shown" not in fields:
        raise Refusal(400, "invalid_request", f"The body must be the form {ONE_CLICK}.")
    shown_on, wanted = set(fields.get("on", ())), set(fields.get("topic", ()))
    changed = {name: name in wanted for name in fields["shown"] if (name in wanted) is not (name in shown_on)}
    await preferences.choose(holder, changed)
    return _page(pages.choices(await preferences.of(subscriber), subscriber.email, languages, is_saved=True))


def refused(refusal: Refusal, _request_id: str) -> Response:
    """Return a refusal as a page, which does not say why a link is invalid."""
    is_temporary = refusal.status in (429, 500, 503)
    response = _page(pages.refusal("later" if is_temporary else "wrong"))
    headers = {**response.headers, **refusal.headers}
    return msgspec.structs.replace(response, status=refusal.status, headers=headers)


async def _holder(call: Call) -> Holder:
    """Return the holder of the link. Raises `Refusal`: 404 for a link that Relay did not make, 429 after too many requests.

    Wrong links do not use up the limit of valid ones: many users of one mail provider share its IP addresses.
    """
    preferences, address = call.services.preferences, call.request.caller_address
    text, message = call.values["token"], call.values["message"]
    holder = await preferences.holder(text, message)
    if holder is None:
        _check(preferences.wrong_links.seconds_left(address))
        preferences.wrong_links.note(address)
        raise Refusal(404, "not_found", "This unsubscribe link is not valid.")
    _check(preferences.requests.seconds_left(text))
    preferences.requests.note(text)
    return holder


def _check(seconds: int) -> None:
    if seconds:
        text = "Too many requests. Repeat the request after Retry-After."
        raise Refusal(429, "too_many_requests", text, headers={"Retry-After": str(seconds)})


def _languages(call: Call) -> Sequence[str]:
    return pages.accepted(call.request.headers.get("accept-language", ""))


def _page(body: bytes) -> Response:
    return Response(headers=_HEADERS, body=body)
