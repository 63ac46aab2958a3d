"""Queues by Relay's own requests, where Azurite cannot show it. The contract tests have the rest."""

from typing import cast

from relay.platform.http.response import RawResponse
from relay.platform.storage.azure.queues import AzureQueues
from relay.platform.storage.azure.requests import AzureRequests
from relay.platform.storage.azure.session import AzureSession
from relay.platform.storage.azure.settings import Account


class Scripted:
    """Responds to each request with the next body, and keeps the targets."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)
        self.targets: list[str] = []

    async def send(self, what: str, method: str, target: str) -> RawResponse:
        self.targets.append(f"{method} {target}")
        return RawResponse(status=200, headers={}, body=self.bodies.pop(0))


def page(*names: str, marker: str = "") -> bytes:
    """A response of List Queues (learn.microsoft.com/rest/api/storageservices/list-queues1)."""
    queues = "".join(f"<Queue><Name>{name}</Name></Queue>" for name in names)
    return (
        f'\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Queues>{queues}</Queues>'
        f"<NextMarker>{marker}</NextMarker></EnumerationResults>"
    ).encode()


async def test_names_of_several_pages_are_read_with_the_marker() -> None:
    requests = Scripted(page("relay-b", marker="/account/relay-c&amp;d"), page("relay-a"))
    queues = AzureQueues(AzureSession(Account(addresses={})), cast(AzureRequests, requests))
    assert await queues.names("relay-") == ["relay-a", "relay-b"]
    assert requests.targets == [
        "GET ?comp=list&prefix=relay-",
        "GET ?comp=list&prefix=relay-&marker=%2Faccount%2Frelay-c%26d",
    ]
