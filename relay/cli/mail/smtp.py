"""`relay smtp`: accept mail by SMTP, on this machine or for a network, and post each message to a relay."""

import asyncio
import ipaddress
import re
import socket
from typing import Annotated

import typer

from relay.cli.mail.stopping import stopped_by_signals
from relay.cli.output import reports_errors
from relay.cli.remote import RemoteError, find_key, find_url
from relay.core.errors import SettingsError
from relay.submission.settings import LOOPBACK, Endpoint, Limits, Network, Settings

_LIMITS = Limits()
_ENDPOINT = re.compile(r"(?:(\[[^\]]+\]|[^:\[\]]*):)?(\d{1,5})")

_Listen = Annotated[
    list[str],
    typer.Option(
        envvar="RELAY_SMTP_LISTEN", help="Address and port; STARTTLS with a certificate. Repeat it for several."
    ),
]
_ListenTls = Annotated[
    list[str], typer.Option(envvar="RELAY_SMTP_LISTEN_TLS", help="Address and port with TLS from the first byte (465).")
]
_Certificate = Annotated[
    str,
    typer.Option(
        envvar="RELAY_SMTP_CERTIFICATE",
        help="The certificate with its chain: the path of a PEM or PKCS #12 file, or vault:NAME. Renewed without a restart.",
    ),
]
_CertificateKey = Annotated[
    str,
    typer.Option(
        envvar="RELAY_SMTP_CERTIFICATE_KEY", help="The path of the certificate's key, if it is in a file of its own."
    ),
]
_VaultUrl = Annotated[str, typer.Option(envvar="RELAY_KEY_VAULT_URL", help="The Key Vault of vault:NAME.")]
_Networks = Annotated[
    list[str],
    typer.Option(
        "--network",
        envvar="RELAY_SMTP_NETWORKS",
        help="A network (CIDR) whose hosts send without AUTH, with RELAY_KEY: for printers. Repeat it for several.",
    ),
]
_Proxies = Annotated[
    list[str],
    typer.Option(
        "--proxy",
        envvar="RELAY_SMTP_PROXIES",
        help="A network (CIDR) of load balancers whose connections begin with a PROXY header, version 1 or 2.",
    ),
]
_PlainAuth = Annotated[bool, typer.Option("--plain-auth", help="Allow AUTH without TLS; on loopback addresses only.")]
_Hostname = Annotated[
    str, typer.Option(envvar="RELAY_SMTP_HOSTNAME", help="The name in the greeting; default: this host's name.")
]
_Health = Annotated[
    str, typer.Option(envvar="RELAY_SMTP_HEALTH", help="Address and port that reply 200 to HTTP probes.")
]
_IgnoreMailFrom = Annotated[
    bool,
    typer.Option(
        "--ignore-mail-from",
        envvar="RELAY_SMTP_IGNORE_MAIL_FROM",
        help="Ignore MAIL FROM: bounces go to From. For routes without a return path.",
    ),
]
_Domain = Annotated[
    str,
    typer.Option("--domain", envvar="RELAY_MAIL_DOMAIN", help="The domain to add to addresses and hosts without one."),
]
_Keys = Annotated[
    bool,
    typer.Option(
        "--idempotency-keys/--no-idempotency-keys",
        envvar="RELAY_SMTP_IDEMPOTENCY_KEYS",
        help="A message that is sent again after a lost reply is one message, by its Message-ID. Without: faster.",
    ),
]


@reports_errors
def smtp(
    context: typer.Context,
    listen: _Listen = ["127.0.0.1:2525"],  # noqa: B006 (typer copies it)
    listen_tls: _ListenTls = [],  # noqa: B006 (as above)
    certificate: _Certificate = "",
    certificate_key: _CertificateKey = "",
    vault_url: _VaultUrl = "",
    networks: _Networks = [],  # noqa: B006 (as above)
    proxies: _Proxies = [],  # noqa: B006 (as above)
    plain_auth: _PlainAuth = False,
    hostname: _Hostname = "",
    health: _Health = "",
    ignore_mail_from: _IgnoreMailFrom = False,
    domain: _Domain = "",
    idempotency_keys: _Keys = True,
    max_bytes: Annotated[
        int, typer.Option(envvar="RELAY_SMTP_MAX_BYTES", help="The maximum size of a message, in bytes.", min=1_000)
    ] = _LIMITS.message_bytes,
    max_memory: Annotated[
        int, typer.Option(envvar="RELAY_SMTP_MAX_MEMORY", help="Bytes of all messages in transfer.", min=1_000_000)
    ] = _LIMITS.held_bytes,
    max_connections: Annotated[
        int, typer.Option(envvar="RELAY_SMTP_MAX_CONNECTIONS", help="Connections at the same time.", min=1)
    ] = _LIMITS.connections,
    max_per_address: Annotated[
        int, typer.Option(envvar="RELAY_SMTP_MAX_PER_ADDRESS", help="Connections of one address.", min=1)
    ] = _LIMITS.connections_per_address,
    max_recipients: Annotated[
        int, typer.Option(envvar="RELAY_SMTP_MAX_RECIPIENTS", help="Recipients of one message.", min=1, max=1_000)
    ] = _LIMITS.recipients,
    max_errors: Annotated[
        int, typer.Option(envvar="RELAY_SMTP_MAX_ERRORS", help="Errors that end a session.", min=1)
    ] = _LIMITS.errors,
    idle_seconds: Annotated[
        float, typer.Option(envvar="RELAY_SMTP_IDLE_SECONDS", help="How long a client may be silent.", min=1)
    ] = _LIMITS.idle_seconds,
    min_rate: Annotated[
        int,
        typer.Option(
            envvar="RELAY_SMTP_MIN_RATE",
            help="Bytes a second at which a message must arrive, after the idle seconds.",
            min=1,
        ),
    ] = _LIMITS.min_rate,
) -> None:
    """Accept mail by SMTP, and post each message to the relay.

    Replies 250 only after the relay accepted the message; 4xx if the relay is unreachable or busy, so that the application
    retries; 5xx with the reason if the relay refuses. It stores nothing.

    Without options it listens on this machine only: any program here sends with RELAY_KEY, without a password. For a network,
    clients sign in with a client's name and its key, after TLS.

    Examples:

      relay smtp

      relay smtp --listen 0.0.0.0:587 --listen-tls 0.0.0.0:465 --certificate /etc/relay/smtp.pem
    """
    chosen = context.find_root().obj
    endpoints = [*(endpoint_of(each) for each in listen), *(endpoint_of(each, has_tls=True) for each in listen_tls)]
    is_local = all(each.is_loopback for each in endpoints)
    key = find_key(chosen["key"])
    local = LOOPBACK if is_local and key and not (networks or plain_auth or certificate) else ()
    settings = Settings(
        url=find_url(chosen["url"]),
        key=key,
        listen=tuple(endpoints),
        health=endpoint_of(health) if health else None,
        hostname=hostname or ("localhost" if is_local else socket.getfqdn()),
        certificate=certificate,
        certificate_key=certificate_key,
        vault_url=vault_url,
        networks=(*local, *map(_network, networks)),
        proxies=tuple(map(_network, proxies)),
        allows_plain_auth=plain_auth,
        passes_sender=not ignore_mail_from,
        has_keys=idempotency_keys,
        domain=domain,
        limits=Limits(
            message_bytes=max_bytes,
            held_bytes=max_memory,
            connections=max_connections,
            connections_per_address=max_per_address,
            idle_seconds=idle_seconds,
            errors=max_errors,
            min_rate=min_rate,
            recipients=max_recipients,
        ),
    )
    try:
        asyncio.run(_serve(settings))
    except SettingsError as error:
        raise RemoteError("\n".join(error.problems), exit_code=2) from error
    except OSError as error:
        raise RemoteError(f"Cannot listen: {error.strerror or error}.", exit_code=1) from error
    except KeyboardInterrupt:
        return


async def _serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises `SettingsError` and `OSError`."""
    from relay.submission.server import SubmissionServer

    async with SubmissionServer(settings, report=typer.echo) as server:
        stopping = stopped_by_signals()
        for host, port in server.addresses:
            typer.echo(f"Listening on {f'[{host}]' if ':' in host else host}:{port}")
        await stopping.wait()


def endpoint_of(text: str, *, has_tls: bool = False) -> Endpoint:
    """Read an address with a port; without an address it is loopback. Raises `RemoteError`."""
    found = _ENDPOINT.fullmatch(text.strip())
    if found is None or int(found[2]) > 65_535:
        raise RemoteError(f"{text}: not an address and a port, such as 0.0.0.0:587 or [::]:587.", exit_code=2)
    return Endpoint(host=(found[1] or "127.0.0.1").strip("[]"), port=int(found[2]), has_tls=has_tls)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        reason = f"{text}: not a network, such as 10.1.0.0/16 or 10.1.2.3 ({error}). Separate several in a variable by blanks."
        raise RemoteError(reason, exit_code=2) from error
