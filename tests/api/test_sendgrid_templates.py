"""A `template_id` that Relay has is filled in by Relay, for every route; any other is left to SendGrid."""

from typing import Any

import pytest

from relay.clients.templates.model import Template
from relay.clients.templates.store import CACHE, Templates
from tests.api.harness import ApiResponse, Harness
from tests.api.sendgrid_requests import mail, to

ID = "d-0a1b2c3d4e5f60718293a4b5c6d7e8f9"
ORDER: dict[str, Any] = {
    "kind": "handlebars",
    "subject": "Order {{{number}}}",
    "text": "{{#each lines}}{{name}}: {{count}}\n{{/each}}",
    "html": "<p>Dear {{insert name 'customer'}},</p>{{#if lines}}<ul>{{#each lines}}<li>{{name}}</li>{{/each}}</ul>{{/if}}",
}


async def put(relay: Harness, name: str = ID, **fields: Any) -> ApiResponse:
    body = {key: value for key, value in {**ORDER, **fields}.items() if value is not None}
    return await relay.call("PUT", f"/v1/templates/{name}", json=body, client="boss")


async def post(relay: Harness, *blocks: dict[str, Any], **changes: Any) -> ApiResponse:
    whole = {"subject": None, "content": None, "template_id": ID, "personalizations": list(blocks), **changes}
    return await relay.call("POST", "/v3/mail/send", json=mail(**whole))


async def caught(relay: Harness) -> list[Any]:
    """Return the mails, oldest first."""
    await relay.deliver()
    found = (await relay.call("GET", "/v1/inbox")).json["value"]
    return [(await relay.call("GET", f"/v1/inbox/{each['name']}")).json for each in reversed(found)]


def errors(response: ApiResponse) -> list[tuple[str, str]]:
    return [(error["field"], error["message"]) for error in response.json["errors"]]


async def test_each_personalization_is_filled_in_with_its_own_data(relay: Harness) -> None:
    await put(relay)
    lines = [{"name": "Kite & rope", "count": 2}]
    response = await post(
        relay,
        to("ada@example.org", dynamic_template_data={"number": "A'1", "name": "Ada", "lines": lines}),
        to("bob@example.org", dynamic_template_data={"number": 2, "lines": [{"name": "x", "count": 1}]}),
    )
    assert (response.status, response.body) == (202, b"")
    ada, bob = sorted(await caught(relay), key=lambda mail: mail["subject"], reverse=True)
    assert (ada["subject"], bob["subject"]) == ("Order A'1", "Order 2")
    assert ada["text"].strip() == "Kite &amp; rope: 2"
    assert ada["html"].strip() == "<p>Dear Ada,</p><ul><li>Kite &amp; rope</li></ul>"
    assert bob["html"].strip() == "<p>Dear customer,</p><ul><li>x</li></ul>"


async def test_template_replaces_subject_and_content_of_the_mail(relay: Harness) -> None:
    await put(relay, text=None)
    data = {"number": 1, "name": "Ada"}
    whole = {"subject": "Mine", "content": [{"type": "text/plain", "value": "mine"}]}
    assert (await post(relay, to("a@example.org", dynamic_template_data=data), **whole)).status == 202
    [found] = await caught(relay)
    assert (found["subject"], found["html"].strip()) == ("Order 1", "<p>Dear Ada,</p>")
    assert found["text"].strip() == "Dear Ada,"  # made from the html, not the mail's


@pytest.mark.parametrize("subject", [None, "{{title}}"])
async def test_mail_keeps_its_subject_if_the_template_gives_none(relay: Harness, subject: str | None) -> None:
    await put(relay, subject=subject)
    assert (await post(relay, to("a@example.org"), subject="Mine")).status == 202
    [found] = await caught(relay)
    assert found["subject"] == "Mine"
    refused = await post(relay, to("a@example.org"))
    assert (refused.status, [field for field, _ in errors(refused)]) == (400, ["template_id"])


async def test_accepted_mail_no_longer_depends_on_the_template(relay: Harness) -> None:
    await put(relay)
    name = (await post(relay, to("a@example.org", dynamic_template_data={"number": 1}))).headers["x-message-id"]
    await relay.call("DELETE", f"/v1/templates/{ID}", client="boss")
    assert "template" not in str(await relay.status(name))
    [found] = await caught(relay)
    assert found["subject"] == "Order 1"


async def test_a_version_can_be_named(relay: Harness) -> None:
    await put(relay)
    await put(relay, subject="second")
    assert (await post(relay, to("a@example.org"), template_id=f"{ID}@2")).status == 202
    [found] = await caught(relay)
    assert found["subject"] == "second"
    refused = await post(relay, to("a@example.org"), template_id=f"{ID}@3")
    assert [field for field, _ in errors(refused)] == ["template_id"]


async def test_unknown_template_is_refused_by_routes_without_sendgrid(relay: Harness) -> None:
    refused = await post(relay, to("a@example.org", dynamic_template_data={"a": 1}))
    assert refused.status == 400
    assert refused.headers["x-ms-error-code"] == "not_carriable"
    [field, message] = errors(refused)[0]
    assert field == "template_id"
    assert "relay templates import --from-sendgrid" in message
    assert relay.waiting == 0


async def test_template_is_found_as_soon_as_it_is_imported(relay: Harness) -> None:
    assert (await post(relay, to("a@example.org"))).status == 400
    await put(relay, subject="s")
    assert (await post(relay, to("a@example.org"))).status == 202


async def test_template_imported_by_another_process_is_found_within_the_cache_time(relay: Harness) -> None:
    assert (await post(relay, to("a@example.org"))).status == 400
    another = Templates(relay.memory.tables, relay.clock)
    await another.put(Template(name=ID, version=0, created_at=relay.clock(), subject="s", text="t"))
    assert (await post(relay, to("a@example.org"))).status == 400
    relay.clock.move(CACHE.total_seconds() + 1)
    assert (await post(relay, to("a@example.org"))).status == 202


async def test_every_problem_of_a_rendering_is_reported_at_its_field(relay: Harness) -> None:
    await put(relay, subject="{{formatDate due 'YYYY'}}", variables={"due": {"required": True}})
    response = await post(
        relay,
        to("a@example.org", dynamic_template_data={"due": "never"}),
        to("b@example.org", dynamic_template_data={}),
        to("c@example.org", dynamic_template_data={"due": 0}),
    )
    assert (response.status, response.headers["x-ms-error-code"]) == (400, "not_renderable")
    assert [field for field, _ in errors(response)] == ["template_id", "personalizations.1.dynamic_template_data.due"]
    assert "Line 1, column 3: the time is neither" in errors(response)[0][1]
    assert "never" not in response.body.decode()
    assert relay.waiting == 0


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"substitutions": {"-a-": "b"}}, "substitutions"),
        ({"dynamic_template_data": {"a": "x" * 300_000}}, "dynamic_template_data"),
        ({"dynamic_template_data": {"a": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}}, "dynamic_template_data"),
    ],
)
async def test_data_that_cannot_be_used_is_refused(relay: Harness, block: dict[str, Any], field: str) -> None:
    await put(relay, subject="s")
    response = await post(relay, to("a@example.org", **block))
    assert response.status == 400
    assert [each for each, _ in errors(response)] == [f"personalizations.0.{field}"]


async def test_messages_together_are_limited_after_rendering(relay: Harness) -> None:
    await put(relay, subject="s", text=None, html="<p>" + "x" * 500_000)
    response = await post(relay, *(to(f"a{number}@example.org") for number in range(220)))
    assert (response.status, response.headers["x-ms-error-code"]) == (413, "message_too_large")
    assert [field for field, _ in errors(response)] == ["personalizations"]
    assert relay.waiting == 0


async def test_all_messages_of_a_request_have_one_budget_of_work(relay: Harness) -> None:
    await put(relay, subject="s", text=None, html="{{#each a}}{{{@root.b}}}{{/each}}")
    data = {"a": list(range(11)), "b": "x" * 250_000}
    blocks = [to(f"a{number}@example.org", dynamic_template_data=data) for number in range(9)]
    response = await post(relay, *blocks)
    assert (response.status, response.headers["x-ms-error-code"]) == (400, "not_renderable")
    assert {field for field, _ in errors(response)} == {"template_id"}
    assert "Send smaller batches" in errors(response)[0][1]


async def test_sandbox_mode_renders_too(relay: Harness) -> None:
    await put(relay)
    settings = {"mail_settings": {"sandbox_mode": {"enable": True}}}
    assert (await post(relay, to("a@example.org", dynamic_template_data={"number": 1}), **settings)).status == 200
    assert (await post(relay, to("a@example.org"), template_id="d-unknown", **settings)).status == 400
    assert relay.waiting == 0


async def test_repeated_request_is_answered_by_its_first_response(relay: Harness) -> None:
    await put(relay)
    body = mail(subject=None, content=None, template_id=ID, personalizations=[to("a@example.org")])
    body["personalizations"][0]["dynamic_template_data"] = {"number": 1}
    headers = {"Idempotency-Key": "k1"}
    first = await relay.call("POST", "/v3/mail/send", json=body, headers=headers)
    await put(relay, subject="changed")
    again = await relay.call("POST", "/v3/mail/send", json=body, headers=headers)
    assert (again.status, again.headers["x-message-id"]) == (202, first.headers["x-message-id"])
    assert [each["subject"] for each in await caught(relay)] == ["Order 1"]


async def test_locale_in_the_data_chooses_the_translation(relay: Harness) -> None:
    await put(relay, translations={"ja": {"subject": "ご注文 {{number}}", "text": "ありがとう"}})
    blocks = [
        to("a@example.org", dynamic_template_data={"number": 1, "locale": "ja-JP"}),
        to("b@example.org", dynamic_template_data={"number": 2, "locale": ["no", "text"]}),
        to("c@example.org", dynamic_template_data={"number": 3, "locale": "not a locale"}),
    ]
    assert (await post(relay, *blocks)).status == 202
    assert sorted(each["subject"] for each in await caught(relay)) == ["Order 2", "Order 3", "ご注文 1"]
