"""Run Azurite, the storage emulator from `node_modules`, as a child process."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from devhost.children import Child, ChildEndedError, discard

_PROGRAM = Path(__file__).parent.parent / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://\S+)")
# Published by Microsoft for the emulator (learn.microsoft.com/azure/storage/common/storage-use-azurite);
# it gives access to emulators only.
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_READY_SECONDS = 60
_GRACE_SECONDS = 15


class AzuritePorts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports to listen on; 0 chooses a free one."""

    blob: int = 0
    queue: int = 0
    table: int = 0


DEFAULT_PORTS = AzuritePorts(blob=10000, queue=10001, table=10002)


class Azurite:
    """A running Azurite. Create it with `start`, end it with `stop`."""

    def __init__(self, *, child: Child, connection_string: str) -> None:
        self.child = child
        self.connection_string = connection_string

    @classmethod
    async def start(
        cls,
        *,
        location: Path | None = None,
        ports: AzuritePorts | None = None,
        echo: Callable[[str], None] = discard,
        logs_requests: bool = False,
    ) -> Self:
        """Start Azurite and wait until its three services listen.

        Data is stored in the folder `location`, or in memory if it is None. With `logs_requests` it writes a line for
        each request to `echo`. Raises `ChildEndedError`.
        """
        child = await Child.start(
            name="Azurite",
            argv=_command(location=location, ports=ports or AzuritePorts(), logs_requests=logs_requests),
            ready=_LISTENING,
            times=3,
            echo=echo,
        )
        try:
            matches = await child.until_ready(timeout_seconds=_READY_SECONDS)
        except BaseException:
            await child.stop(grace_seconds=0)
            raise
        services = {match[1]: match[2] for match in matches}
        return cls(child=child, connection_string=_connection_string(services))

    async def stop(self) -> None:
        """Stop Azurite gracefully, so that it writes its data to disk."""
        await self.child.stop(grace_seconds=_GRACE_SECONDS)


def _command(*, location: Path | None, ports: AzuritePorts, logs_requests: bool) -> list[str | Path]:
    node = shutil.which("node")
    if node is None or not _PROGRAM.exists():
        raise ChildEndedError("Azurite is not installed: run `make setup` first (it needs Node.js 20 or newer).")
    persistence: list[str | Path] = ["--inMemoryPersistence"] if location is None else ["--location", location]
    return [
        node,
        _PROGRAM,
        *persistence,
        # Azurite 3.37.0 refuses the API version of the newest storage SDKs, although they work with it.
        "--skipApiVersionCheck",
        *(() if logs_requests else ("--silent",)),
        # Azurite sends telemetry to Microsoft by default; local runs and tests must send nothing.
        "--disableTelemetry",
        "--blobPort",
        str(ports.blob),
        "--queuePort",
        str(ports.queue),
        "--tablePort",
        str(ports.table),
    ]


def _connection_string(services: dict[str, str]) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};"
        f"BlobEndpoint={services['Blob']}/{_ACCOUNT};"
        f"QueueEndpoint={services['Queue']}/{_ACCOUNT};"
        f"TableEndpoint={services['Table']}/{_ACCOUNT};"
    )
