"""Cold start: the first message loads no module that accepting it does not need."""

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

[api] = [each.get_user_function() for each in function_app.app.get_functions() if each.get_function_name() == "api"]
request = func.HttpRequest(
    method="POST",
    url="http://localhost:7071/v1/messages",
    headers={"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['KEY']}"},
    body=json.dumps({"from": "shop@example.com", "to": ["Ada <ada@example.net>"], "subject": "Hi", "text": "Hello"}).encode(),
)
response = asyncio.run(api(request))
print(json.dumps({"status": response.status_code, "modules": sorted(sys.modules)}))
"""
NEEDED_BY_OTHERS = (
    "aiohttp", "requests", "azure.core", "azure.data", "azure.identity", "azure.storage", "cryptography",
    "email_validator", "idna", "jinja2", "sendgrid", "relay.delivery.delivery", "relay.api.resources.console",
    "relay.operations.doctor", "relay.providers.sendgrid", "relay.core.shape.mismatches",
)  # fmt: skip


async def test_nothing_is_loaded_that_accepting_a_message_does_not_need() -> None:
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
    assert "relay.acceptance.acceptance" in found["modules"]
    assert [name for name in NEEDED_BY_OTHERS if name in found["modules"]] == []
