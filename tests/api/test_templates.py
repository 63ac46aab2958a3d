"""Stored templates, and messages rendered from them."""

import asyncio
from typing import Any

import pytest

from relay.acceptance.draft import Limits
from relay.clients.templates.model import MAX_BYTES
from tests.api.harness import BASE, ApiResponse, Harness, file, message

WELCOME: dict[str, Any] = {
    "description": "What new customers get.",
    "subject": "Welcome,\n {{ name }}",
    "text": "Hello {{ name }}, {{ greeting }}",
    "html": "<p>Hello {{ name }}</p>",
    "variables": {"greeting": {"default": "good day.", "description": "How it goes on."}},
}


async def put(relay: Harness, name: str = "welcome", *, client: str = "boss", **fields: Any) -> ApiResponse:
    body = {key: value for key, value in {**WELCOME, **fields}.items() if value is not None}
    return await relay.call("PUT", f"/v1/templates/{name}", json=body, client=client)


async def post(relay: Harness, **fields: Any) -> ApiResponse:
    whole = {"subject": None, "text": None, "template": "welcome", "variables": {"name": "Ada"}, **fields}
    return await relay.call("POST", "/v1/messages", json=message(**whole))


async def caught(relay: Harness) -> Any:
    """Return the newest mail."""
    [newest, *_] = (await relay.call("GET", "/v1/inbox")).json["value"]
    return (await relay.call("GET", f"/v1/inbox/{newest['name']}")).json


async def test_each_put_creates_a_version(relay: Harness) -> None:
    for number, status in [(1, 201), (2, 200)]:
        response = await put(relay, text=f"{number} {{{{ name }}}}")
        assert (response.status, response.json["version"]) == (status, number)
    shown = (await relay.call("GET", "/v1/templates/welcome")).json
    assert (shown["text"], shown["html"]) == ("2 {{ name }}", WELCOME["html"])
    assert shown["variables"] == {
        "greeting": {"required": False, "default": "good day.", "description": "How it goes on."},
        "name": {"required": True},
    }
    assert (await relay.call("GET", "/v1/templates/welcome@1")).json["text"] == "1 {{ name }}"
    versions = (await relay.call("GET", "/v1/templates/welcome/versions")).json["value"]
    assert [each["version"] for each in versions] == [2, 1]
    await put(relay, "other")
    found = (await relay.call("GET", "/v1/templates")).json["value"]
    assert [(each["name"], each["version"]) for each in found] == [("other", 1), ("welcome", 2)]


async def test_only_operators_write(relay: Harness) -> None:
    assert (await put(relay, client="app")).error["code"] == "operators_only"
    assert (await relay.call("DELETE", "/v1/templates/welcome")).error["code"] == "operators_only"


async def test_template_is_rendered_at_acceptance(relay: Harness) -> None:
    await put(relay)
    assert (await post(relay, variables={"name": "<Ada>"}, attachments=[file()])).status == 202
    await put(relay, text="changed {{ name }}")
    await relay.call("DELETE", "/v1/templates/welcome", client="boss")
    await relay.deliver()
    mail = await caught(relay)
    assert mail["subject"] == "Welcome, <Ada>"
    assert mail["text"].strip() == "Hello <Ada>, good day."
    assert mail["html"].strip() == "<p>Hello &lt;Ada&gt;</p>"
    assert len(mail["attachments"]) == 1


async def test_message_can_choose_version_and_subject(relay: Harness) -> None:
    await put(relay, text="one")
    await put(relay, text="two")
    for template, text in [("welcome@1", "one"), ("welcome", "two")]:
        relay.clock.move(1)
        assert (await post(relay, template=template, subject="Mine")).status == 202
        await relay.deliver()
        mail = await caught(relay)
        assert (mail["subject"], mail["text"].strip()) == ("Mine", text)


async def test_each_message_of_a_batch_is_rendered(relay: Harness) -> None:
    await put(relay)
    body = {
        "defaults": {"from": "orders@example.com", "template": "welcome", "variables": {"greeting": "hi"}},
        "messages": [
            {"to": "ada@example.org", "variables": {"name": "Ada"}},
            {"to": "bob@example.org"},
            {"to": "eve@example.org", "template": "none"},
        ],
    }
    response = await relay.call("POST", "/v1/messages/batch", json=body)
    assert [each["status"] for each in response.json["value"]] == [202, 422, 400]
    errors = [each["error"]["details"][0] for each in response.json["value"][1:]]
    assert [(each["code"], each["target"]) for each in errors] == [
        ("missing_variable", "messages[1].variables.name"),
        ("unknown_template", "messages[2].template"),
    ]
    await relay.deliver()
    assert (await caught(relay))["text"].strip() == "Hello Ada, hi"


async def test_every_missing_variable_is_named(relay: Harness) -> None:
    await put(relay, text="{{ name }} {{ order.number }} {{ city }}")
    response = await post(relay, variables={"city": "Paris"})
    assert (response.status, response.error["code"]) == (422, "not_renderable")
    assert sorted(response.problems) == [
        ("missing_variable", "variables.name"),
        ("missing_variable", "variables.order"),
    ]
    assert relay.waiting == 0


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"text": "{{ name.deep.deeper }}"}, [("rendering_failed", "template")]),
        ({"text": "{{ name + 1 }}", "html": "{{ name / 0 }}"}, [("rendering_failed", "template")] * 2),
        ({"text": "{{ ''.__class__ }}"}, [("rendering_failed", "template")]),
        ({"text": "{% for a in range(9999999) %}{{ a }}{% endfor %}"}, [("rendering_failed", "template")]),
        ({"subject": "{{ name[:0] }}"}, [("required", "subject")]),
        ({"subject": "{{ 'x' }}\0{{ name }}"}, [("invalid_text", "subject")]),
        ({"subject": "x" * 999}, [("too_long", "subject")]),
        ({"subject": None}, [("required", "subject")]),
        ({"text": "{% if false %}x{% endif %}", "html": None}, [("no_content", "template")]),
    ],
)
async def test_message_that_cannot_be_rendered_is_refused(relay: Harness, fields: Any, problems: Any) -> None:
    assert (await put(relay, **fields)).status == 201
    response = await post(relay)
    assert (response.status, response.problems) == (422, problems)
    assert "Ada" not in response.body.decode()
    assert relay.waiting == 0


async def test_rendered_subject_cannot_inject_a_header(relay: Harness) -> None:
    await put(relay)
    assert (await post(relay, variables={"name": "Ada\r\nBcc: eve@example.org"})).status == 202
    await relay.deliver()
    mail = await caught(relay)
    assert mail["subject"] == "Welcome, Ada Bcc: eve@example.org"
    assert "Bcc" not in {header["name"] for header in mail["headers"]}


async def test_rendered_content_counts_toward_the_size_limit(relay: Harness) -> None:
    small = await Harness({"RELAY_MAX_MESSAGE_BYTES": "10000"}).start()
    await put(small, text="{% for a in range(2000) %}xxxxxxxxxx{% endfor %}")
    response = await post(small)
    assert (response.status, response.error["code"]) == (413, "message_too_large")


@pytest.mark.parametrize("template", ["none", "welcome@2", "welcome@99999"])
async def test_unknown_template_is_not_found(relay: Harness, template: str) -> None:
    await put(relay)
    assert (await post(relay, template=template)).problems == [("unknown_template", "template")]
    for method, path in [("GET", ""), ("POST", "/preview")]:
        response = await relay.call(method, f"/v1/templates/{template}{path}")
        assert (response.status, response.error["code"]) == (404, "template_not_found")


@pytest.mark.parametrize("template", ["a/b", "welcome@0", "welcome@x", "@1", "x" * (Limits().max_template_name + 1)])
async def test_invalid_template_name_is_refused(relay: Harness, template: str) -> None:
    assert (await post(relay, template=template)).problems == [("invalid_value", "template")]


async def test_deleted_template_is_gone_and_version_numbers_continue(relay: Harness) -> None:
    await put(relay)
    for _ in range(2):
        assert (await relay.call("DELETE", "/v1/templates/welcome", client="boss")).status == 204
    for path in ("", "@1", "/versions"):
        assert (await relay.call("GET", f"/v1/templates/welcome{path}")).status == 404
    assert (await post(relay)).problems == [("unknown_template", "template")]
    assert (await relay.call("GET", "/v1/templates")).json["value"] == []
    assert (await put(relay)).json["version"] == 3


async def test_preview_renders_a_version(relay: Harness) -> None:
    await put(relay)
    await put(relay, html=None)
    for path, body, version in [("welcome", {"version": 1}, 1), ("welcome@1", {}, 1), ("welcome", {}, 2)]:
        whole = {"variables": {"name": "Ada"}, **body}
        response = await relay.call("POST", f"/v1/templates/{path}/preview", json=whole)
        assert response.json["subject"] == "Welcome, Ada"
        assert response.json["text"] == "Hello Ada, good day."
        assert (response.json["version"], "html" in response.json) == (version, version == 1)
    response = await relay.call("POST", "/v1/templates/welcome/preview")
    assert (response.status, response.problems) == (422, [("missing_variable", "variables.name")])
    assert relay.waiting == 0


async def test_preview_needs_no_subject(relay: Harness) -> None:
    await put(relay, subject=None)
    response = await relay.call("POST", "/v1/templates/welcome/preview", json={"variables": {"name": "Ada"}})
    assert (response.status, response.json["text"]) == (200, "Hello Ada, good day.")


@pytest.mark.parametrize(
    ("name", "fields", "problems"),
    [
        ("a", {"text": None, "html": None}, [("no_content", "text")]),
        ("a", {"text": "{{", "html": "{% include 'b' %}"}, [("invalid_template", "text"), ("invalid_template", "html")]),
        ("a@1", {}, [("invalid_value", "name")]),
        ("a", {"text": "x" * MAX_BYTES}, [("too_large", "$")]),
        ("a", {"variables": {"a b": {}}}, [("invalid_value", "variables['a b']")]),
        ("a", {"variables": {"b": {"required": True, "default": 1}}}, [("not_applicable", "variables.b.default")]),
        ("a", {"variables": {f"v{number}": {} for number in range(201)}}, [("too_many", "variables")]),
        ("a", {"body": "x"}, [("unknown_field", "body")]),
    ],
)  # fmt: skip
async def test_invalid_template_is_refused(relay: Harness, name: str, fields: Any, problems: Any) -> None:
    response = await put(relay, name, **fields)
    assert (response.status, response.problems) == (400, problems)
    assert (await relay.call("GET", "/v1/templates")).json["value"] == []


async def test_template_of_a_batch_is_read_once(relay: Harness) -> None:
    await put(relay)
    await post(relay)
    before = relay.tables.calls["query"]
    await asyncio.gather(*(post(relay) for _ in range(10)))
    assert relay.tables.calls["query"] == before


async def test_batch_shares_one_budget_of_work_and_renders_beside_other_requests(relay: Harness) -> None:
    assert (await put(relay, text="{% for row in rows %}{{ row }}{% endfor %}", html=None, variables={})).status == 201
    turns = 0

    async def other_requests() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other_requests())
    variables = {"name": "Ada", "rows": [0] * 60_000}
    body = {
        "defaults": {"from": "a@example.com", "template": "welcome", "variables": variables, "dry_run": True},
        "messages": [{"to": f"r{number}@example.org"} for number in range(8)],
    }
    results = (await relay.call("POST", "/v1/messages/batch", json=body)).json["value"]
    beside.cancel()
    assert [each["status"] for each in results] == sorted(each["status"] for each in results)
    assert (results[0]["status"], results[-1]["status"]) == (200, 422)
    assert "Send smaller batches" in results[-1]["error"]["details"][0]["message"]
    assert turns >= len(results)


HANDLEBARS: dict[str, Any] = {
    "kind": "handlebars",
    "subject": "Hello {{{name}}}",
    "html": "<p>{{#if name}}Hello {{name}}{{else}}Hello{{/if}}</p>",
    "text": None,
    "description": None,
    "variables": None,
}


async def test_handlebars_template_is_rendered_and_missing_variables_are_empty(relay: Harness) -> None:
    stored = await put(relay, **HANDLEBARS)
    assert (stored.status, stored.json["kind"], stored.json["variables"]) == (201, "handlebars", {})
    assert (await post(relay, variables={"name": "A&B"})).status == 202
    await relay.deliver()
    mail = await caught(relay)
    assert (mail["subject"], mail["html"].strip()) == ("Hello A&B", "<p>Hello A&amp;B</p>")
    assert (await post(relay, variables={})).status == 202


async def test_required_variable_of_a_handlebars_template_must_be_given(relay: Harness) -> None:
    await put(relay, **{**HANDLEBARS, "variables": {"name": {"required": True}}})
    assert (await post(relay, variables={})).problems == [("missing_variable", "variables.name")]


async def test_wrong_handlebars_is_refused_with_its_place(relay: Harness) -> None:
    translations = {"ja": {"html": "{{> footer}}"}}
    response = await put(relay, **{**HANDLEBARS, "html": "a\n{{#if a}}", "translations": translations})
    assert response.problems == [("invalid_template", "html"), ("invalid_template", "translations.ja.html")]
    assert response.error["details"][0]["message"] == "Line 2, column 1: {{#if}} is not closed."


@pytest.mark.parametrize(
    ("locale", "subject"),
    [
        ("ja-JP", "Ja"),
        ("ja_JP", "Ja"),
        ("JA", "Ja"),
        ("zh-Hant-TW", "Hant"),
        ("zh-CN", "Zh"),
        ("fr", "En"),
        (None, "En"),
    ],
)
async def test_locale_falls_back_to_the_language_and_then_to_the_template(
    relay: Harness, locale: str | None, subject: str
) -> None:
    translations = {"ja": {"subject": "Ja"}, "zh": {"subject": "Zh"}, "zh-Hant": {"subject": "Hant"}}
    for each in translations.values():
        each["text"] = "{{ name }}"
    assert (await put(relay, subject="En", html=None, translations=translations)).status == 201
    fields = {"locale": locale} if locale else {}
    assert (await post(relay, variables={"name": "x", "greeting": "hi"}, **fields)).status == 202
    await relay.deliver()
    assert (await caught(relay))["subject"] == subject
    preview = {"variables": {"name": "x"}, **fields}
    shown = await relay.call("POST", "/v1/templates/welcome/preview", json=preview)
    assert shown.json["subject"] == subject


async def test_translation_without_a_subject_has_that_of_the_template(relay: Harness) -> None:
    await put(relay, translations={"ja": {"html": "<p>{{ name }}様</p>"}})
    assert (await post(relay, locale="ja")).status == 202
    await relay.deliver()
    mail = await caught(relay)
    assert (mail["subject"], mail["html"].strip()) == ("Welcome, Ada", "<p>Ada様</p>")
    assert mail["text"].strip() == "Ada様"  # made from the html: the template's text is in another language


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"translations": {"ja": {"subject": "x"}}}, [("no_content", "translations.ja.text")]),
        ({"translations": {"no locale": {"text": "x"}}}, [("invalid_value", "translations['no locale']")]),
        ({"translations": {"ja-JP": {"text": "x"}, "ja_jp": {"text": "y"}}}, [("invalid_value", "translations.ja_jp")]),
        ({"locale": "x"}, [("invalid_value", "locale")]),
        ({"kind": "mustache"}, [("invalid_choice", "kind")]),
    ],
)
async def test_wrong_localization_is_refused(
    relay: Harness, fields: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    assert (await put(relay, **fields)).problems == problems


async def test_locale_needs_a_template_and_a_valid_tag(relay: Harness) -> None:
    await put(relay)
    assert (await post(relay, locale="not a locale")).problems == [("invalid_value", "locale")]
    plain = await relay.call("POST", "/v1/messages", json=message(locale="ja"))
    assert plain.problems == [("not_applicable", "locale")]


async def test_preview_without_variables_uses_the_test_data(relay: Harness) -> None:
    stored = await put(relay, **{**HANDLEBARS, "test_data": {"name": "Test"}, "locale": "en"})
    assert (stored.json["test_data"], stored.json["locale"]) == ({"name": "Test"}, "en")
    shown = await relay.call("POST", "/v1/templates/welcome/preview", json={"locale": "en"})
    assert shown.json["subject"] == "Hello Test"
    page = await relay.call("GET", shown.json["html_url"].removeprefix(BASE), client=None)
    assert b"<p>Hello Test</p>" in page.body
    given = await relay.call("POST", "/v1/templates/welcome/preview", json={"variables": {}})
    assert given.json["subject"] == "Hello"
