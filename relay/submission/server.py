"""Run a submission server: listen, renew the certificate, and stop without losing a reply."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Self

from relay.core.errors import SettingsError
from relay.submission import certificates, health
from relay.submission.certificates import Certificates
from relay.submission.connections import Connections
from relay.submission.logins import Logins
from relay.submission.protocol.connection import Connection, Server
from relay.submission.protocol.content import Memory
from relay.submission.protocol.dialogue import Dialogue
from relay.submission.relay_api import RelayApi, Sleep
from relay.submission.settings import Endpoint, Settings, problems
from relay.submission.transactions import Transactions

STOP_SECONDS = 25.0
"""How long messages that are being posted may take when the server stops. Container platforms kill after 30 seconds."""
CLOSE_SECONDS = 2.0
"""How long clients may take to read their last replies."""


def _now() -> datetime:
    return datetime.now(UTC)


class SubmissionServer:
    """An SMTP server in front of a relay. Use it as a context: it listens inside.

    `report` gets one line for each message, without addresses. Raises `SettingsError`, and `OSError` if it cannot listen.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        report: Callable[[str], None],
        clock: Callable[[], datetime] = _now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._report = report
        self._clock = clock
        self._exits = AsyncExitStack()
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self.certificates: Certificates | None = None
        self.health_port = 0

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """The addresses it listens on, in the order of the settings."""
        servers = self._servers[: len(self._settings.listen)]
        return [server.sockets[0].getsockname()[:2] for server in servers]

    @property
    def open_connections(self) -> int:
        """The number of connections."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        """Check the settings, load the certificate, listen."""
        if found := problems(self._settings):
            raise SettingsError(found)
        # The library logs addresses.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        try:
            await self._open()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, wait for messages that are being posted, close the connections."""
        for server in self._servers:
            server.close()
        posting = [task for connection in self._connections if (task := connection.stop()) is not None]
        if posting:
            await asyncio.wait(posting, timeout=STOP_SECONDS)
        await self._close_connections()
        await self._exits.aclose()

    async def _close_connections(self) -> None:
        for server in self._servers:
            server.close_clients()
        closing = asyncio.gather(*(server.wait_closed() for server in self._servers))
        try:
            await asyncio.wait_for(asyncio.shield(closing), CLOSE_SECONDS)
        except TimeoutError:
            # Clients that do not read their last replies.
            for server in self._servers:
                server.abort_clients()
            await closing

    async def _open(self) -> None:
        settings = self._settings
        if settings.certificate:
            self.certificates = await self._certificates()
        api = RelayApi(settings.url, sleep=self._sleep)
        self._exits.push_async_callback(api.close)
        logins = Logins(api, self._clock)
        self._exits.push_async_callback(logins.close)
        server = Server(
            settings=settings,
            transactions=Transactions(api, settings, clock=self._clock, report=self._report),
            logins=logins,
            connections=Connections(settings.limits),
            memory=Memory(settings.limits.held_bytes),
            tls=lambda: self.certificates.context if self.certificates else None,
        )
        for endpoint in settings.listen:
            self._servers.append(await self._listen(server, endpoint))
        if settings.health is not None:
            probes = await health.listen(settings.health.host, settings.health.port)
            self._servers.append(probes)
            self.health_port = probes.sockets[0].getsockname()[1]

    async def _listen(self, server: Server, endpoint: Endpoint) -> asyncio.Server:
        make = partial(Dialogue, server, has_tls=endpoint.has_tls, open_connections=self._connections)
        loop = asyncio.get_running_loop()
        return await loop.create_server(make, endpoint.host, endpoint.port, backlog=server.settings.limits.connections)

    async def _certificates(self) -> Certificates:
        settings = self._settings
        if settings.vault_secret:
            import aiohttp

            http = await self._exits.enter_async_context(aiohttp.ClientSession(trust_env=True))
            vault = certificates.vault_of(settings, os.environ, http, self._clock)
            self._exits.push_async_callback(vault.close)
            read = certificates.of_vault(settings.vault_secret, vault)
        else:
            read = certificates.of_files(settings.certificate, settings.certificate_key)
        found = Certificates(read, clock=self._clock)
        await found.load()
        seconds = certificates.VAULT_SECONDS if settings.vault_secret else certificates.FILE_SECONDS
        watching = asyncio.create_task(found.watch(seconds))
        self._exits.callback(watching.cancel)
        return found
