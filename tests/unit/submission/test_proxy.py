"""The client's address: networks that need no AUTH, and the PROXY header of load balancers."""

import asyncio
import ipaddress
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest

from relay.submission.settings import LOOPBACK, Endpoint
from tests.unit.submission.kit import KEY, Client, Place, StubRelay, place_with

PRINTERS = (ipaddress.ip_network("10.1.0.0/16"),)
V1 = b"PROXY TCP4 %s 127.0.0.1 50000 25\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(address: str) -> bytes:
    body = socket.inet_aton(address) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 50_000, 25)
    return V2 + b"\x21\x11" + struct.pack("!H", len(body)) + body


async def behind(place: Place, header: bytes, number: int = 0) -> Client:
    client = await place.client(number, greets=False)
    client.writer.write(header)
    return client


def settings(**changes: Any) -> dict[str, Any]:
    return {"key": KEY, "networks": PRINTERS, "proxies": LOOPBACK, **changes}


@pytest.mark.parametrize("header", [V1 % b"10.1.2.3", v2("10.1.2.3")])
async def test_address_in_the_header_is_the_clients(header: bytes) -> None:
    async with place_with(**settings()) as place:
        client = await behind(place, header)
        assert (await client.reply()).startswith("220 ")
        await client.say("EHLO x")
        assert (await client.mail()).startswith("250 ")


@pytest.mark.parametrize(
    "header",
    [V1 % b"10.2.0.1", v2("192.0.2.1"), b"PROXY UNKNOWN\r\n", V2 + b"\x20\x00\x00\x00", b"PROXY TCP6 ::1 ::1 1 2\r\n"],
)
async def test_other_address_or_none_has_no_rights(header: bytes) -> None:
    """A health check of the load balancer has no address; its own is that of a network it may be in."""
    async with place_with(**settings(networks=(*PRINTERS, LOOPBACK[0]))) as place:
        client = await behind(place, header)
        assert (await client.reply()).startswith("220 ")
        await client.say("EHLO x")
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith("530 5.7.0")


@pytest.mark.parametrize(
    "header", [b"EHLO x\r\n", b"PROXY TCP4 x y 1 2\r\n", b"PROXY " + b"x" * 200 + b"\r\n", V2 + b"\x11\x11\0\0"]
)
async def test_connection_of_a_proxy_without_a_header_is_closed(header: bytes) -> None:
    async with place_with(**settings()) as place:
        client = await behind(place, header)
        assert await client.reply() == ""


@pytest.mark.parametrize("begin", [b"", b"PROXY", V2[:6]])
async def test_connection_that_ends_within_its_header_is_freed(begin: bytes) -> None:
    async with place_with(**settings()) as place:
        client = await behind(place, begin)
        client.writer.write_eof()
        async with asyncio.timeout(10):
            assert await client.reader.read() == b""
        assert place.server.open_connections == 0


async def test_header_of_others_is_no_command() -> None:
    async with place_with(**settings(proxies=(ipaddress.ip_network("192.0.2.0/24"),))) as place:
        client = await place.client(greets=False)
        assert (await client.reply()).startswith("220 ")
        assert (await client.say(V1[:-2] % b"10.1.2.3")).startswith("500 ")
        await client.say("EHLO x")
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith("530 ")


async def test_header_comes_before_tls(tmp_path: Path) -> None:
    """The header and the client's first bytes may arrive together."""
    async with place_with(folder=tmp_path, **settings()) as place:
        host, port = place.server.addresses[1]
        raw = socket.create_connection((host, port))
        raw.setblocking(False)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = place.authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client = await place.client(1, greets=False)
        client.writer.write(V1 % b"10.1.2.3" + outgoing.read())
        raw.close()
        while True:
            incoming.write(await client.reader.read(65_536))
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
        client.writer.write(outgoing.read())
        while True:
            try:
                greeting = tls.read()
            except ssl.SSLWantReadError:
                incoming.write(await client.reader.read(65_536))
            else:
                break
        assert greeting.startswith(b"220 ")


async def test_printer_sends_with_the_key_of_the_server_and_others_sign_in(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path, key=KEY, networks=LOOPBACK) as place:
        assert (await (await place.client()).mail()).startswith("250 ")
        other = await place.tls_client()
        assert (await other.sign_in()).startswith("235 ")
        assert (await other.mail()).startswith("250 ")
    assert [posted.key for posted in place.relay.posted] == [KEY, KEY]


async def test_network_sends_while_the_relay_cannot_be_asked_about_its_key() -> None:
    relay = StubRelay()
    relay.down = True
    async with place_with(relay) as place:
        client = await place.client()
        await client.begin()
        relay.down = False
        assert (await client.data()).startswith("250 ")


async def test_server_listens_on_ipv6_and_knows_the_client() -> None:
    async with place_with(listen=(Endpoint(host="::1", port=0),)) as place:
        assert (await (await place.client()).mail()).startswith("250 ")
