"""Combine the Azure Storage adapters into the storage that the app uses."""

from collections.abc import Mapping, Sequence

from relay.platform.storage.azure.blobs import AzureBlobs
from relay.platform.storage.azure.queues import AzureQueues
from relay.platform.storage.azure.requests import AzureRequests
from relay.platform.storage.azure.session import AzureSession
from relay.platform.storage.azure.settings import Service, find_account
from relay.platform.storage.azure.tables import AzureTables
from relay.platform.storage.ports import Storage


class AzureStorage(Storage, frozen=True, kw_only=True):
    """The three adapters over one account. Belongs to the event loop of its first call; `close` it there."""

    session: AzureSession
    requests: Sequence[AzureRequests]
    queues: AzureQueues
    tables: AzureTables
    blobs: AzureBlobs

    async def close(self) -> None:
        """Close the connections."""
        for each in self.requests:
            each.close()
        await self.session.close()


def create_storage(environment: Mapping[str, str]) -> AzureStorage:
    """Make the storage that `AzureWebJobsStorage` names (`relay.platform.storage.azure.settings`). Connects with the first call.

    Raises `SettingsError` with all problems. Each SDK is imported when its service is first called.
    """
    session = AzureSession(find_account(environment))
    to_queues, to_tables, to_blobs = (
        AzureRequests(session, service) for service in (Service.QUEUE, Service.TABLE, Service.BLOB)
    )
    return AzureStorage(
        session=session,
        requests=(to_queues, to_tables, to_blobs),
        queues=AzureQueues(session, to_queues),
        tables=AzureTables(session, to_tables),
        blobs=AzureBlobs(session, to_blobs),
    )
