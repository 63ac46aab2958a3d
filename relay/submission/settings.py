"""Check the settings of a submission server, and refuse dangerous ones: above all, an open relay."""

import ipaddress
from collections.abc import Iterator, Sequence

import msgspec

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_VAULT = "vault:"
MAX_PUBLIC_BITS = 16
"""A network of public addresses that needs no AUTH holds at most 2^16 of them (IPv4)."""
MIN_PUBLIC_PREFIX_V6 = 48
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
"""Carrier-grade NAT (RFC 6598), which `is_private` does not contain."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address to listen on. `has_tls`: TLS from the first byte (port 465); otherwise STARTTLS, if there is a certificate."""

    host: str
    port: int
    has_tls: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one client, and of all together."""

    message_bytes: int = 31_457_280
    held_bytes: int = 268_435_456
    """Bytes of all messages that are being received or posted."""
    excess_bytes: int = 33_554_432
    """Bytes of a refused message that are still read, so that its client can go on; more of them end the session."""
    connections: int = 1_000
    connections_per_address: int = 100
    idle_seconds: float = 300.0
    """RFC 5321 section 4.5.3.2.7: at least five minutes."""
    errors: int = 20
    """Replies 5xx in a session without an accepted message; then the session ends."""
    commands: int = 100
    """Commands without an accepted message, except recipients and chunks of one; Postfix allows 100 that have no effect."""
    overshoot: int = 1_000
    """Recipients beyond the limit that do not count as such commands, as in Postfix."""
    login_seconds: float = 180.0
    """Time until a client has signed in, as in Dovecot."""
    min_rate: int = 500
    """Bytes a second of a message, with `idle_seconds` to spare, as in Postfix."""
    recipients: int = 1_000


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a submission server.

    `key` is the client key of mail from `networks`, which needs no AUTH. `certificate` is the path of a PEM file or a PKCS #12
    file, or `vault:` and the name of a secret. A connection from `proxies` begins with a PROXY header. `allows_plain_auth`: AUTH
    without TLS. `passes_sender`: MAIL FROM becomes the return path. `has_keys`: each message has an idempotency key.
    """

    url: str
    key: str = ""
    listen: tuple[Endpoint, ...]
    health: Endpoint | None = None
    hostname: str = "localhost"
    certificate: str = ""
    certificate_key: str = ""
    vault_url: str = ""
    networks: tuple[Network, ...] = ()
    proxies: tuple[Network, ...] = ()
    allows_plain_auth: bool = False
    passes_sender: bool = True
    has_keys: bool = True
    domain: str = ""
    limits: Limits = Limits()

    @property
    def vault_secret(self) -> str:
        """The name of the secret that holds the certificate; empty if it is in a file."""
        return self.certificate.removeprefix(_VAULT) if self.certificate.startswith(_VAULT) else ""

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r})"


def problems(settings: Settings) -> list[str]:
    """Return every reason not to start with these settings."""
    return [*_certificate_problems(settings), *_access_problems(settings), *_limit_problems(settings.limits)]


def _certificate_problems(settings: Settings) -> Iterator[str]:
    if any(each.has_tls for each in settings.listen) and not settings.certificate:
        yield "An address with implicit TLS needs a certificate: give --certificate."
    if settings.vault_secret and not settings.vault_url:
        yield "A certificate in Key Vault needs the vault's address: give --vault-url."
    if settings.certificate_key and (not settings.certificate or settings.vault_secret):
        yield "--certificate-key belongs to a certificate in a file: give --certificate with its path."


def _access_problems(settings: Settings) -> Iterator[str]:
    is_local = all(each.is_loopback for each in settings.listen)
    if settings.allows_plain_auth and not is_local:
        yield "--plain-auth is for loopback addresses only: elsewhere anyone on the way could read the keys. Use a certificate."
    if settings.networks and not settings.key:
        yield "Mail from networks without AUTH is sent with a client's key: set RELAY_KEY."
    if not settings.networks and not settings.certificate and not (settings.allows_plain_auth and is_local):
        yield (
            "No one could send: AUTH needs TLS (--certificate), and no network may send without AUTH (--network)."
            if not is_local or settings.key
            else "No client key: set RELAY_KEY, or give --certificate for clients with AUTH."
        )
    for network in settings.networks:
        if _is_too_wide(network):
            yield (
                f"{network} would make an open relay: a network without AUTH is private, or at most /{32 - MAX_PUBLIC_BITS}"
                f" (IPv6: /{MIN_PUBLIC_PREFIX_V6})."
            )
    for network in settings.proxies:
        if _is_too_wide(network):
            yield f"{network} would let anyone claim any address in a PROXY header: name the load balancers in --proxy."


def _limit_problems(limits: Limits) -> Iterator[str]:
    if limits.held_bytes < limits.message_bytes:
        yield (
            f"Messages of {limits.message_bytes} bytes (--max-bytes) would never have room in {limits.held_bytes} bytes"
            " (--max-memory): raise --max-memory, or lower --max-bytes."
        )


def _is_too_wide(network: Network) -> bool:
    if network.is_private or network.is_loopback or network.is_link_local:
        return False
    if isinstance(network, ipaddress.IPv6Network):
        return network.prefixlen < MIN_PUBLIC_PREFIX_V6
    return network.prefixlen < 32 - MAX_PUBLIC_BITS and not network.subnet_of(_SHARED)


def address_in(text: str) -> Address | None:
    """Read the address of a peer; an IPv4 address within IPv6 as itself. None if it is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def contains(networks: Sequence[Network], address: Address | None) -> bool:
    """Return whether one of the networks contains an address."""
    return address is not None and any(address in network for network in networks)
