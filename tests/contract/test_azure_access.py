"""Authenticate to storage without an account key, which all other tests of this folder use."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import aiohttp.web
import pytest
from azure.storage.queue import AccountSasPermissions, ResourceTypes, generate_account_sas
from azure.storage.queue import Services as SasServices

from relay.core.errors import Unavailable
from relay.platform.storage.azure.account_storage import AzureStorage, create_storage
from relay.platform.storage.azure.queues import AzureQueues
from relay.platform.storage.azure.requests import AzureRequests
from relay.platform.storage.azure.session import AzureSession
from relay.platform.storage.azure.settings import Account, Service
from relay.platform.storage.azure.shared_key import read_connection_string
from relay.platform.storage.azure.tables import AzureTables
from relay.platform.storage.ports import Entity, Query


@pytest.fixture
async def storage(azurite: str) -> AsyncIterator[AzureStorage]:
    """Azurite by a shared access signature, as the vendor's library makes it."""
    found = read_connection_string(azurite)
    assert found.key is not None
    key = next(part for part in azurite.split(";") if part.startswith("AccountKey=")).removeprefix("AccountKey=")
    signature = generate_account_sas(
        found.key.account,
        key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(
            read=True, write=True, delete=True, list=True, add=True, create=True, update=True, process=True
        ),
        datetime.now(UTC) + timedelta(hours=1),
        services=SasServices(blob=True, queue=True, fileshare=False),
    )
    endpoints = ";".join(f"{service.capitalize()}Endpoint={address}" for service, address in found.endpoints.items())
    storage = create_storage({"AzureWebJobsStorage": f"{endpoints};SharedAccessSignature={signature}"})
    yield storage
    await storage.close()


async def test_shared_access_signature_authorizes_every_adapter(storage: AzureStorage, name: str) -> None:
    await storage.queues.create(name)
    await storage.queues.put(name, b"{}")
    [received] = await storage.queues.receive(name)
    assert received.body == b"{}"


class Cloud:
    """A managed identity's endpoint and storage that takes its tokens, on loopback.

    Sources: learn.microsoft.com/azure/app-service/overview-managed-identity, "REST endpoint reference".
    """

    def __init__(self) -> None:
        self.url = ""
        self.lifetime = 3600.0
        self.tokens: list[str] = []
        self.is_away = False
        self.seen: list[aiohttp.web.Request] = []
        self.bodies: list[bytes] = []

    async def token(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        query = request.query
        right = (
            request.headers.get("X-IDENTITY-HEADER") == "header" and query["resource"] == "https://storage.azure.com"
        )
        if self.is_away or not right or query["client_id"] != "ours":
            return aiohttp.web.json_response({"error": "no"}, status=400)
        self.tokens.append(f"token{len(self.tokens)}")
        token = {
            "access_token": self.tokens[-1],
            "expires_on": str(int(time.time() + self.lifetime)),
            "resource": query["resource"],
            "token_type": "Bearer",
        }
        return aiohttp.web.json_response(token)

    async def storage(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        self.seen.append(request)
        self.bodies.append(await request.read())
        if request.headers.get("Authorization") not in {f"Bearer {token}" for token in self.tokens}:
            return aiohttp.web.Response(status=401, headers={"x-ms-error-code": "InvalidAuthenticationInfo"})
        if request.method == "GET":
            row = {"PartitionKey": "p", "RowKey": "r", "Timestamp": "2026-03-01T12:00:00.1234567Z"}
            return aiohttp.web.Response(body=json.dumps({"value": [row]}), content_type="application/json")
        return aiohttp.web.Response(status=201)


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    cloud = Cloud()
    app = aiohttp.web.Application()
    app.router.add_get("/msi/token", cloud.token)
    app.router.add_route("*", "/{path:.*}", cloud.storage)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    cloud.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{cloud.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    yield cloud
    await runner.cleanup()


@pytest.fixture
async def session(cloud: Cloud) -> AsyncIterator[AzureSession]:
    addresses = dict.fromkeys(Service, cloud.url)
    session = AzureSession(Account(addresses=addresses, is_managed_identity=True, client_id="ours"))
    yield session
    await session.close()


async def test_managed_identity_uses_one_token_for_all_services(cloud: Cloud, session: AzureSession) -> None:
    queues = AzureQueues(session, AzureRequests(session, Service.QUEUE))
    tables = AzureTables(session, AzureRequests(session, Service.TABLE))
    await queues.put("q", b"{}")
    await queues.put("q", b"{}")
    page = await tables.query("t", Query(select=()))
    assert page.entities == [
        Entity(
            partition="p",
            row="r",
            properties={},
            etag="W/\"datetime'2026-03-01T12%3A00%3A00.1234567Z'\"",
            written_at=datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC),
        )
    ]
    assert cloud.tokens == ["token0"]
    # Tokens are taken from these versions on:
    # learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
    assert cloud.seen[0].headers["x-ms-version"] >= "2017-11-09"
    assert cloud.seen[-1].headers["x-ms-version"] >= "2020-12-06"


async def test_failed_token_renewal_uses_the_old_token_until_it_expires(cloud: Cloud, session: AzureSession) -> None:
    cloud.lifetime = 200
    assert await session.token() == "token0"
    cloud.is_away = True
    assert await session.token() == "token0"


async def test_missing_token_raises_unavailable(cloud: Cloud, session: AzureSession) -> None:
    cloud.is_away = True
    queues = AzureQueues(session, AzureRequests(session, Service.QUEUE))
    with pytest.raises(Unavailable):
        await queues.put("q", b"{}")
    assert cloud.seen == []


async def test_refused_token_raises_unavailable(cloud: Cloud, session: AzureSession) -> None:
    queues = AzureQueues(session, AzureRequests(session, Service.QUEUE))
    await session.token()
    cloud.tokens[0] = "another"
    with pytest.raises(Unavailable, match=r"^queue put: 401 InvalidAuthenticationInfo$"):
        await queues.put("q", b"{}")


async def test_entry_is_sent_to_azure_in_utf_8(cloud: Cloud, session: AzureSession) -> None:
    text = '{"subject":"件名 & <\U0001f4e7>"}'
    await AzureQueues(session, AzureRequests(session, Service.QUEUE)).put("q", text.encode())
    [body] = cloud.bodies
    assert ElementTree.fromstring(body).findtext("MessageText") == text  # noqa: S314 - we wrote it ourselves
    assert "件名".encode() in body, "the same as character references would be twice as long, and the space is limited"
