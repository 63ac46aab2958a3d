"""Create, show, change, test and delete webhooks. The signing secret is shown only when it is created."""

from collections.abc import Sequence

import msgspec

from relay.api.cursors import next_url, page_of
from relay.api.http import Response, json_response
from relay.api.problems import Problems
from relay.api.reading.body import read_request
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.webhooks import (
    CallbackRemoval,
    WebhookChange,
    WebhookDeliveryPageView,
    WebhookDeliveryView,
    WebhookListView,
    WebhookRequest,
    WebhookView,
)
from relay.core.errors import NotFound, Refusal
from relay.events.webhooks.address_guard import url_fault
from relay.events.webhooks.delivery import DeliveryAttempt
from relay.events.webhooks.subscriptions import (
    MAX_SUBSCRIPTIONS,
    OLD_SECRET_LASTS,
    Definition,
    Format,
    Subscription,
    callback_id,
    new_secret,
)

MAX_NOTE = 500


async def index(call: Call) -> Response:
    """Handle GET /v1/webhooks."""
    found = await call.services.webhooks.subscriptions.of(call.client.id, fresh=True)
    return json_response(WebhookListView(value=[_view(each) for each in found]))


async def show(call: Call) -> Response:
    """Handle GET /v1/webhooks/{id}."""
    return json_response(_view(await _chosen(call)))


async def create(call: Call) -> Response:
    """Handle POST /v1/webhooks. The same `callbackUrl` again replaces its webhook."""
    value = read_request(call.request, WebhookRequest)
    problems = Problems()
    url = _url(value, problems)
    _check(call, url, "callbackUrl" if value.callback_url is not None else "url", value.note, problems)
    problems.raise_any()
    is_callback = value.callback_url is not None
    name = callback_id(call.client.id, url) if is_callback else f"wh_{call.services.new_batch()}"
    known = await call.services.webhooks.subscriptions.of(call.client.id, fresh=True)
    if len(known) >= MAX_SUBSCRIPTIONS and all(each.id != name for each in known):
        problems.add(
            "too_many", "$", f"A client has at most {MAX_SUBSCRIPTIONS} webhooks. Delete one that is no longer used."
        )
        problems.raise_any()
    definition = Definition(
        url=url,
        secret=new_secret(),
        created_at=call.services.clock(),
        events=_events(value.events),
        format=Format(value.format or Format.STANDARD),
        note=value.note or "",
        is_callback=is_callback,
    )
    made = Subscription(id=name, client_id=call.client.id, definition=definition)
    await call.services.webhooks.subscriptions.put(made)
    location = {"Location": f"{call.base_url}/v1/webhooks/{name}"}
    return json_response(_view(made, secret=definition.secret), 201, location)


async def change(call: Call) -> Response:
    """Handle PATCH /v1/webhooks/{id}: change only the members that are present."""
    value = read_request(call.request, WebhookChange)
    problems = Problems()
    _check(call, value.url, "url", value.note, problems)
    problems.raise_any()
    before, subscriptions = await _chosen(call), call.services.webhooks.subscriptions
    definition = before.definition
    changed = msgspec.structs.replace(
        definition,
        url=value.url or definition.url,
        events=_events(value.events) if value.events is not None else definition.events,
        format=Format(value.format or definition.format),
        note=definition.note if value.note is None else value.note,
    )
    if value.rotate_secret:
        until = call.services.clock() + OLD_SECRET_LASTS
        changed = msgspec.structs.replace(
            changed, secret=new_secret(), old_secret=definition.secret, old_secret_until=until
        )
    await subscriptions.change(before, changed)
    if value.is_enabled is True:
        await subscriptions.enable(before)
    elif value.is_enabled is False:
        await subscriptions.disable(before, "Paused by its client.")
    secret = changed.secret if value.rotate_secret else None
    return json_response(_view(await _chosen(call), secret=secret))


async def delete(call: Call) -> Response:
    """Handle DELETE /v1/webhooks/{id}: pending posts are dropped."""
    if _is_possible(call.values["id"]):
        await call.services.webhooks.unsubscribe(call.client.id, call.values["id"])
    return Response(status=204)


async def index_of_client(call: Call) -> Response:
    """Handle GET /v1/clients/{name}/webhooks."""
    client = await call.services.clients.get(call.values["name"])
    found = await call.services.webhooks.subscriptions.of(client.id, fresh=True)
    return json_response(WebhookListView(value=[_view(each) for each in found]))


async def delete_of_client(call: Call) -> Response:
    """Handle DELETE /v1/clients/{name}/webhooks/{id}."""
    client = await call.services.clients.get(call.values["name"])
    if _is_possible(call.values["id"]):
        await call.services.webhooks.unsubscribe(client.id, call.values["id"])
    return Response(status=204)


async def remove_callback(call: Call) -> Response:
    """Handle DELETE /v1/webhooks with `callbackUrl` in the body or query, by which a Logic App unsubscribes."""
    url = call.request.query.get("callbackUrl", "")
    if not url:
        url = read_request(call.request, CallbackRemoval).callback_url
    await call.services.webhooks.unsubscribe(call.client.id, callback_id(call.client.id, url))
    return Response(status=204)


async def test(call: Call) -> Response:
    """Handle POST /v1/webhooks/{id}/test."""
    subscription = await _chosen(call)
    return json_response(_delivery(await call.services.webhooks.test(subscription, f"evt_{call.services.new_batch()}")))


async def deliveries(call: Call) -> Response:
    """Handle GET /v1/webhooks/{id}/deliveries."""
    subscription = await _chosen(call)
    reading = call.services.webhooks.log(subscription, cursor=call.request.query.get("cursor"))
    found, cursor = await page_of(reading)
    link = next_url(call, f"/v1/webhooks/{subscription.id}/deliveries", cursor)
    return json_response(WebhookDeliveryPageView(value=[_delivery(each) for each in found], next_link=given(link)))


async def _chosen(call: Call) -> Subscription:
    name = call.values["id"]
    if not _is_possible(name):
        raise Refusal(404, "not_found", "No webhook has this id.")
    try:
        return await call.services.webhooks.subscriptions.get(call.client.id, name)
    except NotFound as error:
        raise Refusal(404, "not_found", "No webhook has this id.") from error


def _is_possible(name: str) -> bool:
    """Return whether a webhook may have this id. A row's key cannot contain slashes and some other characters."""
    return name.startswith("wh_") and name.isascii() and name.replace("_", "").isalnum()


def _url(value: WebhookRequest, problems: Problems) -> str:
    chosen = [each for each in (value.url, value.callback_url) if each is not None]
    if len(chosen) == 2:
        problems.add("not_applicable", "callbackUrl", "Give either `url` or `callbackUrl`, not both.")
    elif not chosen:
        problems.add("required", "url", "Where should events be posted? Give `url`.")
    return chosen[0] if chosen else ""


def _check(call: Call, url: str | None, target: str, note: str | None, problems: Problems) -> None:
    if url and (problem := url_fault(url, allows_loopback=call.services.settings.webhooks_allow_loopback)):
        problems.add("invalid_value", target, f"The URL of a webhook {problem}.")
    if len(note or "") > MAX_NOTE:
        problems.add("too_long", "note", f"A note has at most {MAX_NOTE} characters.")


def _events(kinds: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kinds or ()))


def _view(each: Subscription, *, secret: str | None = None) -> WebhookView:
    return WebhookView(
        id=each.id,
        url=each.definition.url,
        events=each.definition.events,
        format=each.definition.format,
        note=given(each.definition.note or None),
        created_at=each.definition.created_at,
        is_enabled=each.is_enabled,
        disabled_reason=given(each.disabled_reason or None),
        disabled_at=given(each.disabled_at),
        failing_since=given(each.failing_since),
        old_secret_until=given(each.definition.old_secret_until),
        secret=given(secret),
    )


def _delivery(each: DeliveryAttempt) -> WebhookDeliveryView:
    return WebhookDeliveryView(
        id=each.id,
        at=each.at,
        attempt=each.attempt,
        outcome=each.outcome,
        status=given(each.status or None),
        error=given(each.error or None),
        seconds=each.seconds,
        message=given(each.message or None),
    )
