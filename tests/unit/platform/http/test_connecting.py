"""Connections: which addresses and authorities are used."""

import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from relay.platform.http.client import HttpClient
from relay.platform.http.connect import default_tls, system_resolve
from relay.platform.http.errors import NotSent
from tests.unit.platform.http.servers import AUTHORITY, OK, Peer, client_of, ended, listening, request


async def respond(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(OK)


@pytest.fixture
def _no_context_is_kept() -> Iterator[None]:
    default_tls.cache_clear()
    yield
    default_tls.cache_clear()


@pytest.mark.usefixtures("_no_context_is_kept")
async def test_authorities_are_the_systems_or_those_of_ssl_cert_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with listening(respond, tls=AUTHORITY.server_context()) as server:
        client = HttpClient()
        assert isinstance(await ended(client, server.url), NotSent)
        default_tls.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY.write(tmp_path / "authority.pem")))
        assert (await request(client, server.url)).body == b"ok"
        client.close()


async def test_address_is_resolved_to_itself_and_a_name_by_the_system() -> None:
    assert list(await system_resolve("127.0.0.1", 80)) == ["127.0.0.1"]
    assert list(await system_resolve("::1", 80)) == ["::1"]
    assert "127.0.0.1" in await system_resolve("localhost", 80)


async def test_connection_uses_only_the_resolved_address_and_the_certificate_has_the_urls_host() -> None:
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ("127.0.0.1",)

    async with (
        listening(respond, tls=AUTHORITY.server_context("hooks.example.com")) as server,
        client_of(resolve=resolve) as client,
    ):
        port = server.url.rpartition(":")[2].partition("/")[0]
        assert (await request(client, f"https://hooks.example.com:{port}/")).body == b"ok"
        assert b"\r\nHost: hooks.example.com:" in server.peers[0].head
        assert isinstance(await ended(client, f"https://other.example.com:{port}/"), NotSent)
    assert [host for host, _ in asked] == ["hooks.example.com", "other.example.com"]


async def test_next_address_is_used_if_the_first_refuses() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ("127.0.0.2", "127.0.0.1") if host == "two.example" else ("127.0.0.2", "127.0.0.3")

    async with listening(respond) as server, client_of(resolve=resolve) as client:
        port = server.url.rpartition(":")[2].partition("/")[0]
        assert (await request(client, f"http://two.example:{port}/")).body == b"ok"
        result = await ended(client, f"http://none.example:{port}/")
    assert isinstance(result, NotSent)


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8, and drops what a full listener gets"
)
async def test_next_address_is_tried_while_the_first_hangs() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ("127.0.0.2", "127.0.0.1")

    async with listening(respond) as server, client_of(resolve=resolve) as client:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        with socket.create_server(("127.0.0.2", port), backlog=0) as full, socket.create_connection(full.getsockname()):
            assert (await request(client, f"http://two.example:{port}/")).body == b"ok"
