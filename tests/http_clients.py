"""Clients that trust a stand-in's authority: Relay's own, and the aiohttp session of Azure's libraries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from relay.bootstrap.connections import Connections
from relay.platform.http.client import HttpClient
from standins.tls import Authority


@asynccontextmanager
async def http_client(authority: Authority | None = None) -> AsyncIterator[HttpClient]:
    """Yield a client that trusts only this authority, or those of the system."""
    client = HttpClient(tls=authority.client_context() if authority else None)
    yield client
    client.close()


def azure_session(authority: Authority) -> aiohttp.ClientSession:
    """Open a session that trusts only this authority."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=authority.client_context()))


def trust(relay: Connections, authority: Authority) -> None:
    """Make a relay trust only this authority, before its first request. Its `close` closes the clients."""
    relay.__dict__["http"] = HttpClient(tls=authority.client_context())
    relay.__dict__["_azure_session"] = azure_session(authority)
