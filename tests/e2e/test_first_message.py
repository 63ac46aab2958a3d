"""Cold start and memory: what the first message and the first minute load."""

import asyncio
import json
import os
import sys

from devhost.azurite import Azurite
from tests.e2e.running import ROOT, first_key

ACCEPT = """
import asyncio, json, os, sys
import azure.functions as func
import function_app

functions = {each.get_function_name(): each.get_user_function() for each in function_app.app.get_functions()}
request = func.HttpRequest(
    method="POST",
    url="http://localhost:7071/v1/messages",
    headers={"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['KEY']}"},
    body=json.dumps({"from": "shop@example.com", "to": ["Ada <ada@example.net>"], "subject": "Hi", "text": "Hello"}).encode(),
)


async def run():
    response = await functions["api"](request)
    accepting = sorted(sys.modules)
    await functions["recover"](None)
    return {"status": response.status_code, "accepting": accepting, "each minute": sorted(sys.modules)}

print(json.dumps(asyncio.run(run())))
"""
NEEDED_BY_OTHERS = (
    "aiohttp", "requests", "azure.core", "azure.data", "azure.identity", "azure.storage", "cryptography",
    "email_validator", "idna", "jinja2", "sendgrid", "relay.delivery.delivery", "relay.api.pages.console",
    "relay.operations.doctor", "relay.providers.sendgrid", "relay.core.shape.mismatches",
)  # fmt: skip
LARGE = ("azure.core", "azure.data", "azure.storage", "cryptography", "requests")
"""The SDKs, of which each takes 20 MiB and a second of CPU."""


async def test_no_library_is_loaded_that_a_message_and_a_minute_do_not_need() -> None:
    azurite = await Azurite.start()
    try:
        environment = {**os.environ, "AzureWebJobsStorage": azurite.connection_string}
        environment["KEY"] = await first_key(environment)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ACCEPT, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    finally:
        await azurite.stop()
    found = json.loads(output.splitlines()[-1])
    assert found["status"] == 202
    assert "relay.acceptance.acceptance" in found["accepting"]
    assert [name for name in NEEDED_BY_OTHERS if name in found["accepting"]] == []
    assert "relay.operations.orphan_entries" in found["each minute"]
    assert [name for name in LARGE if name in found["each minute"]] == []
