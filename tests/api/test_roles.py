"""Roles: who may call which operation, whose messages a role sees, and that a viewer gets no content."""

import re
from typing import Any

import pytest

from relay.api.operation import Operation
from relay.api.operations import OPERATIONS
from relay.clients.keys import Role
from relay.clients.policy import Policy
from scripts.roles import PAGE, page
from tests.api.harness import ApiResponse, Harness, file, message
from tests.api.sample_calls import body_of, path_of, values_of

SENDERS, OPERATOR, READERS = "client operator", "operator", "viewer support operator"
STATES, CONTENT, AUDIT, PUBLIC = "client viewer support operator", "client support operator", "operator auditor", ""
MATRIX = {
    "SendMessage": SENDERS,
    "ListMessages": STATES,
    "ExportMessages": STATES,
    "SendBatch": SENDERS,
    "GetMessage": STATES,
    "CancelMessage": SENDERS,
    "RescheduleMessage": SENDERS,
    "RedriveMessage": "support operator",
    "ResendMessage": "support operator",
    "WaitForMessage": PUBLIC,
    "ShowMessageContent": CONTENT,
    "ShowMessageSource": CONTENT,
    "DownloadMessageAttachment": CONTENT,
    "ShowMessageHtml": PUBLIC,
    "UploadAttachment": SENDERS,
    "ShowAttachment": SENDERS,
    "DeleteAttachment": SENDERS,
    "PutAttachmentPart": SENDERS,
    "CompleteAttachment": SENDERS,
    "ListTemplates": SENDERS,
    "ShowTemplate": SENDERS,
    "PutTemplate": OPERATOR,
    "DeleteTemplate": OPERATOR,
    "ListTemplateVersions": SENDERS,
    "PreviewTemplate": SENDERS,
    "ShowTemplateHtml": PUBLIC,
    "ListSuppressions": SENDERS,
    "AddSuppression": SENDERS,
    "ImportSuppressions": SENDERS,
    "ExportSuppressions": SENDERS,
    "SynchronizeSuppressions": OPERATOR,
    "ShowSuppression": SENDERS,
    "RemoveSuppression": SENDERS,
    "ListTopics": SENDERS,
    "ShowTopic": SENDERS,
    "PutTopic": SENDERS,
    "DeleteTopic": SENDERS,
    "ListTopicSuppressions": SENDERS,
    "AddTopicSuppression": SENDERS,
    "ImportTopicSuppressions": SENDERS,
    "ExportTopicSuppressions": SENDERS,
    "RemoveTopicSuppression": SENDERS,
    "ListWebhooks": SENDERS,
    "CreateWebhook": SENDERS,
    "RemoveCallback": SENDERS,
    "ShowWebhook": SENDERS,
    "ChangeWebhook": SENDERS,
    "DeleteWebhook": SENDERS,
    "TestWebhook": SENDERS,
    "ListWebhookDeliveries": SENDERS,
    "ListInbox": SENDERS,
    "WaitForInboxMail": SENDERS,
    "ShowInboxMail": SENDERS,
    "ShowInboxSource": SENDERS,
    "ShowInboxHtml": PUBLIC,
    "EmptyInbox": SENDERS,
    "DeleteInboxMail": SENDERS,
    "ListDeadLetters": READERS,
    "RedriveDeadLetters": OPERATOR,
    "DiscardDeadLetters": OPERATOR,
    "ListCauses": STATES,
    "RedriveLostMail": OPERATOR,
    "EraseRecipient": OPERATOR,
    "ListRoutes": READERS,
    "HoldRoute": OPERATOR,
    "ReleaseRoute": OPERATOR,
    "ProbeRoute": OPERATOR,
    "ShowPause": READERS,
    "PauseDelivery": OPERATOR,
    "ResumeDelivery": OPERATOR,
    "ListClients": OPERATOR,
    "CreateClient": OPERATOR,
    "ShowClient": OPERATOR,
    "ChangeClient": OPERATOR,
    "DeleteClient": OPERATOR,
    "ReleaseClient": OPERATOR,
    "ListClientWebhooks": OPERATOR,
    "DeleteClientWebhook": OPERATOR,
    "AddClientKey": OPERATOR,
    "RemoveClientKey": OPERATOR,
    "TakeSendGridEvents": PUBLIC,
    "TakeAcsEvents": PUBLIC,
    "AllowAcsEvents": PUBLIC,
    "TakeBounce": SENDERS,
    "SendGridSendMail": SENDERS,
    "SendGridCreateBatch": SENDERS,
    "SendGridShowBatch": SENDERS,
    "SendGridListScheduledSends": SENDERS,
    "SendGridStopScheduledSend": SENDERS,
    "SendGridShowScheduledSend": SENDERS,
    "SendGridChangeScheduledSend": SENDERS,
    "SendGridReleaseScheduledSend": SENDERS,
    "SendGridListScopes": SENDERS,
    "ShowOverview": READERS,
    "ListArrivals": READERS,
    "ExportArrivals": READERS,
    "RunDoctor": OPERATOR,
    "ListTimers": OPERATOR,
    "RunTimer": OPERATOR,
    "ListAuditRecords": AUDIT,
    "ExportAuditCsv": AUDIT,
    "ExportAuditJsonLines": AUDIT,
    "ShowCaller": "client viewer support operator auditor",
    "Health": PUBLIC,
    "Ready": PUBLIC,
    "ShowOpenApi": PUBLIC,
}
SECRET = "quokka"
"""Stands in everything that a sender writes."""


async def with_roles(relay: Harness) -> dict[Role, str]:
    """Clients of every role, by role."""
    for role in Role:
        await relay.add_client(f"a-{role}", role=role)
    return {role: f"a-{role}" for role in Role}


def test_matrix_has_every_operation() -> None:
    assert list(MATRIX) == [operation.name for operation in OPERATIONS]


@pytest.mark.parametrize("operation", list(OPERATIONS), ids=lambda operation: operation.name)
async def test_operation_is_open_to_its_roles_alone(relay: Harness, operation: Operation) -> None:
    known, names = await values_of(relay), await with_roles(relay)
    path, able = path_of(operation, known), MATRIX[operation.name].split()
    if not able:
        response = await relay.call(operation.method, path, json=body_of(operation), client=None)
        assert response.status != 401
        return
    assert (await relay.call(operation.method, path, json=body_of(operation), client=None)).status == 401
    # Those who may not go first, so that nothing is gone before they try.
    for role in sorted(Role, key=lambda role: role in able):
        response = await relay.call(operation.method, path, json=body_of(operation), client=names[role])
        if role in able:
            assert response.status not in (401, 403), (role, response.body)
        else:
            assert response.status == 403, (role, response.body)
            assert response.headers["x-ms-error-code"] == refused_code(role, able), role


def refused_code(role: Role, able: list[str]) -> str:
    return "operators_only" if role is Role.CLIENT or able == ["operator"] else "role_not_allowed"


async def test_caller_learns_what_its_role_may_call(relay: Harness) -> None:
    for role, name in (await with_roles(relay)).items():
        me = (await relay.call("GET", "/v1/me", client=name)).json
        able = [operation for operation, roles in MATRIX.items() if role in roles.split()]
        assert (me["name"], me["role"], me["operations"]) == (name, role, able)


# ── what a viewer sees ──


async def secretive(relay: Harness, **fields: Any) -> str:
    """A message in which everything that its sender may write has the secret."""
    sender = f"{SECRET} <{SECRET}@example.com>"
    written = {
        "from": sender,
        "to": f"{SECRET} <{SECRET}@example.org>",
        "cc": f"{SECRET}-cc@example.org",
        "bcc": f"{SECRET}-bcc@example.org",
        "reply_to": sender,
        "subject": SECRET,
        "text": SECRET,
        "html": f"<p>{SECRET}</p>",
        "headers": {"X-Note": SECRET},
        "metadata": {SECRET: SECRET},
        "attachments": [file(SECRET.encode(), name=f"{SECRET}.txt")],
    }
    response = await relay.call("POST", "/v1/messages", json={**written, **fields})
    assert response.status == 202, response.body
    return str(response.json["id"])


def leaks(response: ApiResponse) -> bool:
    return SECRET in (response.body.decode() + repr(response.headers)).lower()


async def test_viewer_gets_no_content_from_any_operation(relay: Harness) -> None:
    await relay.add_client("ward", role=Role.VIEWER)
    sent = await secretive(relay)
    rejected = await secretive(relay, to=f"{SECRET}@example.org,rejected@relay.test", cc=None, bcc=None)
    held = await secretive(relay, send_at="2026-03-02T12:00:00Z")
    await relay.deliver()
    relay.clock.move(1)
    for name in (sent, rejected, held):
        shown = await relay.call("GET", f"/v1/messages/{name}", client="ward")
        assert (shown.status, leaks(shown)) == (200, False), shown.body
        assert leaks(await relay.call("GET", f"/v1/messages/{name}", client="boss"))
    known = {"/v1/messages": {"id": sent}, "/v1/routes": {"name": "capture"}}
    readable = [each for each in OPERATIONS if "viewer" in MATRIX[each.name].split()]
    for operation in readable:
        response = await relay.call(operation.method, path_of(operation, known), client="ward")
        assert (response.status, leaks(response)) == (200, False), (operation.name, response.body)
    codes = (await relay.call("GET", "/v1/deadletters", client="ward")).json["value"]
    for code in codes:
        assert not leaks(await relay.call("GET", f"/v1/deadletters?code={code['code']}", client="ward"))
    assert leaks(await relay.call("GET", "/v1/messages", client="boss"))


async def test_viewer_sees_states(relay: Harness) -> None:
    await relay.add_client("ward", role=Role.VIEWER)
    name = await relay.send(to=["ada@example.org", "bob@example.org"], tags=["invoice"])
    assert (await relay.call("PUT", "/v1/topics/news", json={})).status == 201
    about = await relay.send(unsubscribe={"topic": "news"})
    await relay.deliver()
    relay.clock.move(1)
    assert (await relay.call("GET", f"/v1/messages/{about}", client="ward")).json["topic"] == "news"
    shown = (await relay.call("GET", f"/v1/messages/{name}", client="ward")).json
    assert (shown["state"], shown["client"], shown["recipient_count"]) == ("sent", "app", 2)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["sent"]
    [listed] = (await relay.call("GET", "/v1/messages?tag=invoice&client=app", client="boss")).json["value"]
    _, seen = (await relay.call("GET", "/v1/messages?client=app&state=sent", client="ward")).json["value"]
    assert {key: value for key, value in listed.items() if key not in ("from", "subject", "recipient")} == seen


async def test_viewer_cannot_search_for_content(relay: Harness) -> None:
    await relay.add_client("ward", role=Role.VIEWER)
    response = await relay.call("GET", "/v1/messages?recipient=ada@example.org", client="ward")
    assert (response.status, response.error["code"], response.error["target"]) == (403, "role_not_allowed", "recipient")


async def test_viewer_sees_held_routes_without_senders_and_replies(relay: Harness) -> None:
    await relay.add_client("ward", role=Role.VIEWER)
    for sender in ("", f"{SECRET}@example.com"):
        await relay.relay.holds.hold("capture", "sender_not_verified", SECRET, sender=sender)
    for path in ("/v1/routes", "/v1/overview"):
        response = await relay.call("GET", path, client="ward")
        assert not leaks(response)
        [route] = response.json.get("routes") or response.json["value"]
        assert [hold["code"] for hold in route["holds"]] == ["sender_not_verified"]
        assert leaks(await relay.call("GET", path, client="boss"))


async def test_link_to_content_ends_with_the_role(relay: Harness) -> None:
    await relay.add_client("desk", role=Role.SUPPORT)
    name = await relay.send(html="<p>Hello</p>")
    await relay.deliver()
    relay.clock.move(1)
    url = (await relay.call("GET", f"/v1/messages/{name}/content", client="desk")).json["html_url"]
    assert (await relay.call("GET", url, client=None)).status == 200
    await relay.call("PATCH", "/v1/clients/desk", json={"role": "viewer"}, client="boss")
    assert (await relay.call("GET", url, client=None)).error["code"] == "link_not_valid"


async def test_link_to_wait_ends_with_the_role(relay: Harness) -> None:
    sent = await relay.call("POST", "/v1/messages?wait=sent", json=message())
    url = sent.headers["location"]
    assert (await relay.call("GET", url, client=None)).status == 202
    await relay.call("PATCH", "/v1/clients/app", json={"role": "viewer"}, client="boss")
    assert (await relay.call("GET", url, client=None)).error["code"] == "link_not_valid"


# ── what support may do ──


async def test_support_redrives_a_message_as_it_was(relay: Harness) -> None:
    await relay.add_client("desk", role=Role.SUPPORT)
    path = f"/v1/messages/{await relay.send(to='rejected@relay.test')}/redrive"
    await relay.deliver()
    relay.clock.move(1)
    for body, target in (({"route": "capture"}, "route"), ({"sender": "other@example.com"}, "sender")):
        refused = await relay.call("POST", path, json=body, client="desk")
        assert (refused.status, refused.error["code"], refused.error["target"]) == (403, "role_not_allowed", target)
    assert (await relay.call("POST", path, client="desk")).status == 202


async def test_support_resends_a_sent_message_as_it_was(relay: Harness) -> None:
    await relay.add_client("desk", role=Role.SUPPORT)
    path = f"/v1/messages/{await relay.send()}/resend"
    await relay.deliver()
    body = {"sent_until": "2026-03-01T13:00:00Z"}
    refused = await relay.call("POST", path, json={**body, "route": "capture"}, client="desk")
    assert (refused.status, refused.error["code"], refused.error["target"]) == (403, "role_not_allowed", "route")
    assert (await relay.call("POST", path, json=body, client="desk")).status == 202


async def test_support_sees_the_messages_of_named_clients_alone(relay: Harness) -> None:
    for name in ("shop", "other"):
        await relay.add_client(name)
    await relay.add_client("desk", role=Role.SUPPORT, policy=Policy(sees=("shop", "app")))
    sent = {client: await relay.send(client, to="rejected@relay.test") for client in ("app", "shop", "other", "boss")}
    await relay.deliver()
    relay.clock.move(1)
    listed = (await relay.call("GET", "/v1/messages", client="desk")).json["value"]
    assert {each["id"] for each in listed} == {sent["app"], sent["shop"]}
    [own] = (await relay.call("GET", "/v1/messages?client=shop", client="desk")).json["value"]
    assert own["id"] == sent["shop"]
    refused = await relay.call("GET", "/v1/messages?client=other", client="desk")
    assert (refused.status, refused.error["code"], refused.error["target"]) == (403, "role_not_allowed", "client")
    dead = (await relay.call("GET", "/v1/deadletters?code=recipient_refused", client="desk")).json["value"]
    assert {each["id"] for each in dead} == {sent["app"], sent["shop"]}
    for client, name in sent.items():
        for method, path in (("GET", ""), ("GET", "/content"), ("GET", "/source"), ("POST", "/redrive")):
            status = (await relay.call(method, f"/v1/messages/{name}{path}", client="desk")).status
            assert (status == 404) == (client in ("other", "boss")), (client, path, status)


async def test_deleted_client_is_seen_by_nobody_who_is_limited(relay: Harness) -> None:
    await relay.add_client("shop")
    await relay.add_client("desk", role=Role.SUPPORT, policy=Policy(sees=("shop",)))
    await relay.add_client("all", role=Role.SUPPORT)
    name = await relay.send("shop")
    await relay.deliver()
    relay.clock.move(1)
    await relay.call("DELETE", "/v1/clients/shop", client="boss")
    await relay.add_client("shop")
    assert (await relay.call("GET", f"/v1/messages/{name}", client="desk")).status == 404
    assert (await relay.call("GET", "/v1/messages", client="desk")).json["value"] == []
    assert (await relay.call("GET", f"/v1/messages/{name}", client="all")).status == 200


async def test_sees_is_a_list_of_names(relay: Harness) -> None:
    body = {"name": "desk", "role": "support", "policy": {"sees": ["shop", "No Name"]}}
    refused = await relay.call("POST", "/v1/clients", json=body, client="boss")
    assert refused.problems == [("invalid_value", "policy.sees[1]")]
    body["policy"] = {"sees": ["shop"]}
    made = await relay.call("POST", "/v1/clients", json=body, client="boss")
    assert (made.status, made.json["role"], made.json["policy"]["sees"]) == (201, "support", ["shop"])


def test_every_role_is_in_the_request_shape() -> None:
    [schema] = [each for each in OPERATIONS if each.name == "CreateClient"]
    assert schema.body is not None
    from relay.api.operation import loaded

    annotation = repr(loaded(schema.body.shape).__annotations__) + repr(
        loaded(schema.body.shape).__mro__[1].__annotations__
    )
    assert set(re.findall(r"'(\w+)'", annotation)) >= set(Role)


def test_page_of_roles_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


# ── keys with a role of their own ──


async def key_of(relay: Harness, client: str, role: Role) -> str:
    """Add a key with a role of its own to a client. Returns the name under which the harness calls with it."""
    made = await relay.call("POST", f"/v1/clients/{client}/keys", json={"role": role}, client="boss")
    assert made.status == 201, made.body
    relay.keys[f"{client} as {role}"] = made.json["key"]
    return f"{client} as {role}"


@pytest.mark.parametrize("own", list(Role))
async def test_key_may_call_what_its_role_may_whatever_its_clients(relay: Harness, own: Role) -> None:
    await relay.add_client("shop", role=own)
    for role in Role:
        if role is own:
            continue
        me = (await relay.call("GET", "/v1/me", client=await key_of(relay, "shop", role))).json
        able = [operation for operation, roles in MATRIX.items() if role in roles.split()]
        assert (me["name"], me["role"], me["operations"]) == ("shop", role, able)
    shown = (await relay.call("GET", "/v1/clients/shop", client="boss")).json
    assert (shown["role"], [key["role"] for key in shown["keys"]]) == (own, [None, *(r for r in Role if r is not own)])


async def test_viewers_key_of_a_sender_sees_its_messages_without_content_and_sends_nothing(relay: Harness) -> None:
    viewer = await key_of(relay, "app", Role.VIEWER)
    await relay.add_client("other", policy=Policy(senders=("*",)))
    own, others = await relay.send(), await relay.send("other")
    await relay.deliver()
    relay.clock.move(1)
    listed = await relay.call("GET", "/v1/messages", client=viewer)
    assert [row["id"] for row in listed.json["value"]] == [own]
    shown = await relay.call("GET", f"/v1/messages/{own}", client=viewer)
    assert (shown.status, "subject" in shown.json) == (200, False)
    assert (await relay.call("GET", f"/v1/messages/{others}", client=viewer)).status == 404
    refused = await relay.call("POST", "/v1/messages", json=message(), client=viewer)
    assert (refused.status, refused.error["code"]) == (403, "role_not_allowed")


async def test_link_to_html_works_while_a_key_of_the_client_may_read_content(relay: Harness) -> None:
    await relay.add_client("desk", role=Role.VIEWER)
    support = await key_of(relay, "desk", Role.SUPPORT)
    name = await relay.send(html="<p>Hello</p>")
    await relay.deliver()
    link = (await relay.call("GET", f"/v1/messages/{name}/content", client=support)).json["html_url"]
    path = link.removeprefix("https://relay.example")
    assert (await relay.call("GET", path, client=None)).status == 200
    assert (await relay.call("GET", path.replace("role=support", "role=viewer"), client=None)).status == 403
    key_id = relay.keys[support].split("_")[1]
    assert (await relay.call("DELETE", f"/v1/clients/desk/keys/{key_id}", client="boss")).status == 204
    assert (await relay.call("GET", path, client=None)).status == 403


async def test_link_shows_what_the_key_that_got_it_may_see(relay: Harness) -> None:
    """The client itself sees only its own messages."""
    await relay.add_client("other", policy=Policy(senders=("*",)))
    operator = await key_of(relay, "other", Role.OPERATOR)
    name = await relay.send(html="<p>Hello</p>")
    await relay.deliver()
    path = f"/v1/messages/{name}/content"
    link = (await relay.call("GET", path, client=operator)).json["html_url"].removeprefix("https://relay.example")
    assert (await relay.call("GET", link, client=None)).status == 200
    forged = link.replace("role=operator", "role=client")
    assert (await relay.call("GET", forged, client=None)).status == 403


async def test_audit_record_names_the_key_and_its_role(relay: Harness) -> None:
    operator = await key_of(relay, "app", Role.OPERATOR)
    await relay.call("POST", "/v1/routes/capture/hold", json={"reason": "test"}, client=operator)
    await relay.call("POST", "/v1/routes/capture/release", client="app")
    listed = (await relay.call("GET", "/v1/audit?target=capture", client="boss")).json["value"]
    found = {(each["operation"], each["client"], each["credential"], each["role"]) for each in listed}
    ids = [relay.keys[name].split("_")[1] for name in (operator, "app")]
    assert found == {
        ("HoldRoute", "app", f"key:{ids[0]}", "operator"),
        ("ReleaseRoute", "app", f"key:{ids[1]}", "client"),
    }
