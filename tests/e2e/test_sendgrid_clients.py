"""SendGrid's libraries work with Relay's URL and key, over every route."""

import asyncio
import base64
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import sendgrid as vendor
from python_http_client.exceptions import (  # type: ignore[import-untyped] # no types published with it
    BadRequestsError,
    UnauthorizedError,
)
from sendgrid.helpers import mail as helpers

from standins.everything import Everything
from standins.inbox import Inbox, Mail
from standins.sendgrid.server import DEFAULT_KEY
from tests.e2e.running import ROOT, RunningRelay, running_relay

SCRIPT = Path(__file__).parent / "sendgrid_client.mjs"
PAGE = ROOT / "docs/sendgrid-compatible.md"
PATIENCE_SECONDS = 60


class Place:
    """A relay as separate processes, and a stand-in for each provider."""

    def __init__(self, relay: RunningRelay, standins: Everything) -> None:
        self.relay = relay
        self.standins = standins

    def client(self, key: str | None = None) -> Any:
        """Create SendGrid's Python client."""
        return vendor.SendGridAPIClient(key or self.relay.key, host=self.relay.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with Everything(tmp_path_factory.mktemp("standins")) as standins, running_relay(standins.settings()) as relay:
        yield Place(relay, standins)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def arrived(inbox: Inbox, name: str) -> Mail:
    """Return the mail with this message id, once the provider has it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not inbox.of(name):
            await inbox.wait_for(len(inbox.messages) + 1)
    [found] = inbox.of(name)
    return found


def _whole_mail() -> Any:
    mail = helpers.Mail(
        helpers.From("shop@example.com", "The Shop"), subject="Bestellung -number- für Sie", is_multiple=True
    )
    mail.content = [helpers.Content("text/plain", "Guten Tag -name-"), helpers.Content("text/html", "<p>-name-</p>")]
    mail.reply_to = helpers.ReplyTo("help@example.com", "Help")
    mail.category = helpers.Category("order")
    mail.attachment = helpers.Attachment(base64.b64encode(bytes(range(256))).decode(), "data.bin", "application/pdf")
    mail.custom_arg = helpers.CustomArg("source", "python")
    mail.header = helpers.Header("X-Shop", "7")
    settings = helpers.MailSettings()
    settings.sandbox_mode = helpers.SandBoxMode(enable=False)
    mail.mail_settings = settings
    person = helpers.Personalization()
    person.add_to(helpers.To("ada@graph.test", "Lovelace, Ada"))
    person.add_cc(helpers.Cc("grace@graph.test"))
    person.add_substitution(helpers.Substitution("-number-", "4711"))
    person.add_substitution(helpers.Substitution("-name-", "Ada"))
    mail.add_personalization(person)
    return mail


async def test_python_mail_leaves_through_exchange(place: Place) -> None:
    response = await asyncio.to_thread(place.client().send, _whole_mail())
    assert (response.status_code, response.body) == (202, b"")
    mail = await arrived(place.standins.graph.inbox, response.headers["X-Message-Id"])
    assert mail.subject == "Bestellung 4711 für Sie"
    assert (mail.sender.address, mail.sender.name) == ("shop@example.com", "The Shop")
    assert [(each.address, each.name) for each in mail.to] == [("ada@graph.test", "Lovelace, Ada")]
    assert [each.address for each in (*mail.cc, *mail.reply_to)] == ["grace@graph.test", "help@example.com"]
    assert (mail.html or "").strip() == "<p>Ada</p>"
    assert mail.attachments[0].content == bytes(range(256))
    assert mail.headers["X-Shop"] == "7"


async def test_python_library_gets_errors_in_sendgrids_format(place: Place) -> None:
    template = helpers.Mail("shop@example.com", "ada@graph.test")
    template.template_id = "d-0123456789"
    with pytest.raises(BadRequestsError) as refused:
        await asyncio.to_thread(place.client().send, template)
    [error] = refused.value.to_dict["errors"]
    assert (error["field"], "graph" in error["message"]) == ("template_id", True)
    with pytest.raises(UnauthorizedError) as unknown:
        await asyncio.to_thread(place.client("SG.unknown").send, template)
    assert unknown.value.to_dict["errors"][0]["message"]


async def test_python_batches_are_cancelled(place: Place) -> None:
    api = place.client().client

    def cancel() -> tuple[str, dict[str, Any]]:
        batch = api.mail.batch.post().to_dict["batch_id"]
        assert api.mail.batch._(batch).get().status_code == 200
        mail = helpers.Mail("shop@example.com", "ada@smtp.test", "Later", "text")
        mail.batch_id = helpers.BatchId(batch)
        stopped = api.user.scheduled_sends.post(request_body={"batch_id": batch, "status": "cancel"})
        name = api.mail.send.post(request_body=mail.get()).headers["X-Message-Id"]
        assert stopped.status_code == 201
        assert {"batch_id": batch, "status": "cancel"} in api.user.scheduled_sends.get().to_dict
        assert "mail.send" in api.scopes.get().to_dict["scopes"]
        return name, stopped.to_dict

    name, stopped = await asyncio.to_thread(cancel)
    assert stopped["already_sent"] == 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        history = await place.relay.call("GET", f"/v1/messages/{name}")
        while "Retry-After" in history[2]:
            await asyncio.sleep(0.1)
            history = await place.relay.call("GET", f"/v1/messages/{name}")
    assert history[1]["state"] == "cancelled"
    assert place.standins.smtp.inbox.of(name) == []


TEMPLATE = {
    "kind": "handlebars",
    "subject": "Order {{number}}",
    "text": "{{#if gift}}A gift{{else}}No gift{{/if}}: {{number}}",
    "html": "<p>{{#equals number '4713'}}First{{else}}Another{{/equals}} order</p>",
}


async def test_node_library_sends_mail(place: Place) -> None:
    node = shutil.which("node")
    assert node is not None
    assert (await place.relay.call("PUT", "/v1/templates/d-stored-by-relay", json=TEMPLATE))[0] == 201
    process = await asyncio.create_subprocess_exec(
        node, str(SCRIPT), place.relay.url, place.relay.key, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    results: dict[str, Any] = msgspec.json.decode(printed)
    assert results["several"] | {"id": ""} == {"status": 202, "id": "", "body": ""}
    by_graph = await arrived(place.standins.graph.inbox, results["several"]["id"])
    assert by_graph.subject == "Order 4711"
    assert (by_graph.html or "").strip() == "<p>Your order <b>4711</b> is on its way.</p>"
    assert by_graph.attachments[0].content == SCRIPT.read_bytes()
    by_sendgrid = await arrived(place.standins.sendgrid.inbox, results["template"]["id"])
    assert by_sendgrid.fields["custom_args"]["source"] == "node"
    async with asyncio.timeout(PATIENCE_SECONDS):
        by_smtp, rendered = sorted(await place.standins.smtp.inbox.wait_for(2), key=lambda mail: mail.subject)
    assert (by_smtp.subject, (by_smtp.text or "").strip()) == ("Order 4712", "Your order 4712 is on its way.")
    assert (rendered.subject, (rendered.text or "").strip()) == ("Order 4714", "A gift: 4714")
    assert (rendered.html or "").strip() == "<p>Another order</p>"
    assert results["rendered"]["status"] == 202
    by_graph = await arrived(place.standins.graph.inbox, results["rendered"]["id"])
    assert (by_graph.subject, (by_graph.html or "").strip()) == ("Order 4713", "<p>First order</p>")
    assert [error["field"] for error in results["refused"]["errors"]] == ["template_id"]
    assert (results["wrong"]["status"], results["wrong"]["errors"][0]["field"]) == (
        400,
        "personalizations.0.to.0.email",
    )
    assert (results["batch"]["status"], len(results["batch"]["body"]["batch_id"])) == (201, 32)


async def test_imported_template_leaves_by_smtp(place: Place) -> None:
    version = {"subject": "Hello {{name}}", "html_content": "<p>{{#if name}}Dear {{name}}{{/if}}</p>"}
    name = place.standins.sendgrid.templates.add("Welcome", version)
    command = ["-m", "relay.cli", "templates", "import", "--from-sendgrid", "--json"]
    environment = {**os.environ, "RELAY_URL": place.relay.url, "RELAY_KEY": place.relay.key}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        f"--sendgrid-url={place.standins.sendgrid.url}",
        cwd=ROOT,
        env={**environment, "SENDGRID_API_KEY": DEFAULT_KEY},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    assert [each["result"] for each in msgspec.json.decode(printed) if each["template"] == name] == ["imported"]
    mail = helpers.Mail("shop@example.com", "ada@smtp.test")
    mail.template_id = name
    mail.dynamic_template_data = {"name": "Ada"}
    response = await asyncio.to_thread(place.client().send, mail)
    found = await arrived(place.standins.smtp.inbox, response.headers["X-Message-Id"])
    assert (found.subject, (found.html or "").strip()) == ("Hello Ada", "<p>Dear Ada</p>")


@pytest.mark.parametrize("language", ["sh", "python", "js"])
async def test_documented_examples_work(place: Place, language: str) -> None:
    command = {
        "sh": ["sh", "-c"],
        "python": [sys.executable, "-c"],
        "js": ["node", "--input-type=module", "--eval"],
    }[language]
    [example] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    environment = {**os.environ, "RELAY_URL": place.relay.url, "RELAY_KEY": place.relay.key}
    process = await asyncio.create_subprocess_exec(
        *command, example, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    assert b"202" in printed
    assert b"msg_" in printed
