"""The webhook address guard refuses every address that is not public, however it is written or resolved."""

from collections.abc import Sequence

import pytest

from relay.events.webhooks.address_guard import Forbidden, Guard, address_fault, url_fault

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
INSIDE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.1.1",
    "168.63.129.16",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - must be refused
    "255.255.255.255",
    "224.0.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:a9fe:a9fe::1",
    "::10.0.0.1",
    "::127.0.0.1",
    "fec0::1",
    "feff::1",
    "::ffff:0:7f00:1",
    "::ffff:0:169.254.169.254",
    "64:ff9b:1::a00:1",
    "64:ff9b::168.63.129.16",
    "5f00::1",
    "192.88.99.1",
    "64:ff9b::192.88.99.1",
    "192.0.0.9",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "2001:1::1",
    "2001:20::1",
    "2620:4f:8000::1",
    "4000::1",
    "3fff::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "not an address",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_allowed(address: str) -> None:
    assert address_fault(address, allows_loopback=False) == ""


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("allows_loopback", [False, True])
def test_internal_address_is_refused(address: str, allows_loopback: bool) -> None:
    assert address_fault(address, allows_loopback=allows_loopback) != ""


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_allowed_only_by_setting(address: str) -> None:
    assert address_fault(address, allows_loopback=False) != ""
    assert address_fault(address, allows_loopback=True) == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?sig=a%20b",
        "https://example.com:8443/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://xn--mller-kva.example/",
    ],
)
def test_public_https_url_is_allowed(url: str) -> None:
    assert url_fault(url, allows_loopback=False) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://",
        "https:///path",
        "//example.com/",
        "example.com",
        "",
        "https://user@example.com/",
        "https://user:word@example.com/",  # pragma: allowlist secret (made up)
        "https://example.com/#fragment",
        "https://example.com:port/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://127%2e0%2e0%2e1/",
        "https://%6c%6f%63alhost/",
        "https://example.com../",
        "https://.example.com/",
        "https://example.com%00.example.net/",
        "https://exam ple.com/",
        "https://example.com/\r\nX-A: b",
        "https://müller.example/",
        f"https://example.com/{'x' * 2_000}",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        *(f"https://{address}/" for address in LOOPBACK if ":" not in address),
        *(f"https://[{address}]/" for address in LOOPBACK if ":" in address),
        *(f"https://{address}/" for address in INSIDE[:12]),
        *(f"https://[{address}]/" for address in INSIDE if ":" in address and "%" not in address),
    ],
)
def test_unsafe_url_is_refused(url: str) -> None:
    assert url_fault(url, allows_loopback=False) != ""


def test_setting_allows_http_to_loopback_only() -> None:
    for url in ("http://127.0.0.1:8080/", "http://localhost:1/", "http://[::1]/", "https://localhost/"):
        assert url_fault(url, allows_loopback=True) == ""
    for url in ("http://example.com/", "http://10.0.0.1/", "http://printer.local/"):
        assert url_fault(url, allows_loopback=True) != ""


class Names:
    """A resolver with scripted results, one per call."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return self.answers.pop(0)


async def test_name_is_judged_by_its_addresses() -> None:
    guard = Guard(allows_loopback=False, resolve=Names(PUBLIC, [*PUBLIC, "10.0.0.1"], ["127.0.0.1"], []))
    assert await guard.addresses("example.com", 443) == PUBLIC
    for _ in range(2):
        with pytest.raises(Forbidden):
            await guard.addresses("example.com", 443)
    with pytest.raises(OSError, match="no address"):
        await guard.addresses("example.com", 443)


async def test_odd_spelling_of_an_address_is_resolved_and_checked() -> None:
    """A resolver may read `127.1` as an address; the guard checks the result too."""
    guard = Guard(allows_loopback=False, resolve=Names(["127.0.0.1"]))
    with pytest.raises(Forbidden):
        await guard.addresses("127.1", 443)


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "2852039166",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "10.0.0.1.",
        "1.2.3.4.5",
        "example.0x",
        "300.1.1.1",
    ],
)
def test_ip_address_in_disguise_is_refused(host: str) -> None:
    assert url_fault(f"https://{host}/", allows_loopback=False) != ""


@pytest.mark.parametrize("host", ["1.example.com", "a1.example", "0x7f.example", "xn--80ak6aa92e.com"])
def test_name_with_digits_is_accepted(host: str) -> None:
    assert url_fault(f"https://{host}/", allows_loopback=False) == ""
