"""`relay smtp`: accept mail by SMTP, on this machine or for a network, and post each message to a relay."""

import asyncio
import ipaddress
import re
import socket

import typer

from relay.cli.mail import smtp_options as options
from relay.cli.mail.stopping import stopped_by_signals
from relay.cli.output import reports_errors
from relay.cli.remote import RemoteError, find_key, find_url
from relay.core.errors import SettingsError
from relay.submission.settings import LOOPBACK, Endpoint, Limits, Network, Settings

_LIMITS = Limits()
_ENDPOINT = re.compile(r"(?:(\[[^\]]+\]|[^:\[\]]*):)?(\d{1,5})")


@reports_errors
def smtp(
    context: typer.Context,
    listen: options.Listen = ["127.0.0.1:2525"],  # noqa: B006 (typer copies it)
    listen_tls: options.ListenTls = [],  # noqa: B006 (as above)
    certificate: options.Certificate = "",
    certificate_key: options.CertificateKey = "",
    vault_url: options.VaultUrl = "",
    networks: options.Networks = [],  # noqa: B006 (as above)
    proxies: options.Proxies = [],  # noqa: B006 (as above)
    plain_auth: options.PlainAuth = False,
    hostname: options.Hostname = "",
    health: options.Health = "",
    ignore_mail_from: options.IgnoreMailFrom = False,
    domain: options.Domain = "",
    idempotency_keys: options.Keys = True,
    max_bytes: options.MaxBytes = _LIMITS.message_bytes,
    max_memory: options.MaxMemory = _LIMITS.held_bytes,
    max_connections: options.MaxConnections = _LIMITS.connections,
    max_per_address: options.MaxPerAddress = _LIMITS.connections_per_address,
    max_recipients: options.MaxRecipients = _LIMITS.recipients,
    max_errors: options.MaxErrors = _LIMITS.errors,
    idle_seconds: options.IdleSeconds = _LIMITS.idle_seconds,
    min_rate: options.MinRate = _LIMITS.min_rate,
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
    limits = Limits(
        message_bytes=max_bytes,
        held_bytes=max_memory,
        connections=max_connections,
        connections_per_address=max_per_address,
        idle_seconds=idle_seconds,
        errors=max_errors,
        min_rate=min_rate,
        recipients=max_recipients,
    )
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
        limits=limits,
    )
    _run(settings)


def _run(settings: Settings) -> None:
    """Serve until a signal. Raises `RemoteError`."""
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
