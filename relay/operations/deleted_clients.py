"""Delete a client with its webhooks, its unused uploads, its topics and its suppressions.

Everything is stored under the client's id, so nothing that is left can reach a later client of the same name. The client is
listed as deleted before its row is deleted; the nightly timer continues from that list, and keeps a client on it for an hour,
because other processes may accept its keys for 30 seconds more and store something.

Messages stay until their retention ends, with the uploads they use and the groups that stop them. Idempotency keys and
counters of the quota expire within two days.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.clients.registry import Clients, DeletedClient
from relay.clients.suppressions.store import Suppressions
from relay.clients.uploads import Uploads
from relay.core.errors import StorageError
from relay.events.webhooks.delivery import Webhooks
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.log import log_event
from relay.routes.brakes import Brakes
from relay.unsubscribe.topics import Topics

LISTED = timedelta(hours=1)
"""Time in which each nightly run cleans up a deleted client again."""
REQUEST_SECONDS = 20.0
"""Time in which a request that deletes a client may begin further work."""


class DeletedClients:
    """Deletes clients, and finishes deletions that were interrupted."""

    def __init__(
        self,
        *,
        clients: Clients,
        webhooks: Webhooks,
        uploads: Uploads,
        suppressions: Suppressions,
        topics: Topics,
        brakes: Brakes,
        clock: Callable[[], datetime],
    ) -> None:
        self._clients = clients
        self._webhooks = webhooks
        self._uploads = uploads
        self._suppressions = suppressions
        self._topics = topics
        self._brakes = brakes
        self._clock = clock

    async def delete(self, name: str) -> None:
        """Delete a client. Raises `NotFound`. If storage fails or the time is over, the nightly timer does the rest."""
        gone = await self._clients.delete(name)
        if gone is None:
            # The data cannot reach a later client of the same name, and no webhook posts for an id without a client.
            log_event("client_not_cleared", level=logging.ERROR, client=name, error="UnreadableEntry")
            return
        try:
            progress = await self._clear(gone, Deadline(self._clock, REQUEST_SECONDS))
        except StorageError as error:
            log_event("client_not_cleared", level=logging.WARNING, client=name, error=type(error).__name__)
        else:
            log_event("client_deleted", client=name, is_complete=progress.is_complete)

    async def clear(self, deadline: Deadline = NEVER) -> Progress:
        """Delete the remaining data of deleted clients."""
        total = Progress()
        for gone in await self._clients.deleted():
            if deadline.is_over:
                return total + Progress(is_complete=False)
            progress = await self._clear(gone, deadline)
            total += progress
            if progress.is_complete and gone.at + LISTED <= self._clock():
                await self._clients.forget(gone)
        return total

    async def _clear(self, gone: DeletedClient, deadline: Deadline) -> Progress:
        # Webhooks first: they post to the former owner.
        progress = await self._webhooks.remove_all(gone.id, deadline)
        # A deleted client cannot be released any more: its accepted mail is sent, like that of any deleted client.
        await self._brakes.remove(gone.id)
        progress += await self._suppressions.remove_all(gone.id, deadline)
        progress += await self._uploads.remove_all(gone.id, deadline)
        return progress + await self._topics.remove_all(gone.id, deadline)
