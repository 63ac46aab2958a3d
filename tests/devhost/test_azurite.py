"""Azurite as a child process."""

from pathlib import Path

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueClient

from devhost.azurite import Azurite


async def test_three_services_respond_at_the_reported_addresses(azurite: str) -> None:
    async with (
        QueueClient.from_connection_string(azurite, "first-queue") as queue,
        BlobServiceClient.from_connection_string(azurite) as blobs,
        TableServiceClient.from_connection_string(azurite) as tables,
    ):
        await queue.create_queue()
        await queue.send_message("entry")
        received = await queue.receive_message()
        container = await blobs.create_container("first-container")
        await tables.create_table("FirstTable")
        assert received is not None
        assert received.content == "entry"
        assert await container.exists()
        assert "FirstTable" in [table.name async for table in tables.list_tables()]


async def test_data_in_a_folder_survives_a_restart(tmp_path: Path) -> None:
    first = await Azurite.start(location=tmp_path)
    async with QueueClient.from_connection_string(first.connection_string, "kept") as queue:
        await queue.create_queue()
        await queue.send_message("entry")
    await first.stop()
    second = await Azurite.start(location=tmp_path)
    try:
        async with QueueClient.from_connection_string(second.connection_string, "kept") as queue:
            received = await queue.receive_message()
    finally:
        await second.stop()
    assert received is not None
    assert received.content == "entry"


async def test_stopped_azurite_does_not_respond() -> None:
    emulator = await Azurite.start()
    await emulator.stop()
    async with QueueClient.from_connection_string(emulator.connection_string, "gone", retry_total=0) as queue:
        with pytest.raises(ServiceRequestError):
            await queue.create_queue()
