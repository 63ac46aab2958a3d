"""The options of `relay smtp`, each with its environment variable for containers."""

from typing import Annotated

import typer

Listen = Annotated[
    list[str],
    typer.Option(
        envvar="RELAY_SMTP_LISTEN",
        help="Address and port to listen on, with STARTTLS if there is a certificate. Repeat it for several.",
    ),
]
ListenTls = Annotated[
    list[str],
    typer.Option(
        envvar="RELAY_SMTP_LISTEN_TLS", help="Address and port to listen on with TLS from the first byte (port 465)."
    ),
]
Certificate = Annotated[
    str,
    typer.Option(
        envvar="RELAY_SMTP_CERTIFICATE",
        help="The certificate with its chain: the path of a PEM or PKCS #12 file, or vault:NAME. Renewed without a restart.",
    ),
]
CertificateKey = Annotated[
    str,
    typer.Option(
        envvar="RELAY_SMTP_CERTIFICATE_KEY", help="The path of the certificate's key, if it is in a file of its own."
    ),
]
VaultUrl = Annotated[str, typer.Option(envvar="RELAY_KEY_VAULT_URL", help="The Key Vault of vault:NAME.")]
Networks = Annotated[
    list[str],
    typer.Option(
        "--network",
        envvar="RELAY_SMTP_NETWORKS",
        help="A network (CIDR) whose hosts send without AUTH, with RELAY_KEY: for printers. Repeat it for several.",
    ),
]
Proxies = Annotated[
    list[str],
    typer.Option(
        "--proxy",
        envvar="RELAY_SMTP_PROXIES",
        help="A network (CIDR) of load balancers whose connections begin with a PROXY header, version 1 or 2.",
    ),
]
PlainAuth = Annotated[bool, typer.Option("--plain-auth", help="Allow AUTH without TLS; on loopback addresses only.")]
Hostname = Annotated[
    str, typer.Option(envvar="RELAY_SMTP_HOSTNAME", help="The name in the greeting (default: this host's name).")
]
Health = Annotated[
    str, typer.Option(envvar="RELAY_SMTP_HEALTH", help="Address and port that reply 200 to HTTP probes.")
]
IgnoreMailFrom = Annotated[
    bool,
    typer.Option(
        "--ignore-mail-from",
        envvar="RELAY_SMTP_IGNORE_MAIL_FROM",
        help="Ignore MAIL FROM: bounces go to From. For routes without a return path.",
    ),
]
Domain = Annotated[
    str,
    typer.Option("--domain", envvar="RELAY_MAIL_DOMAIN", help="The domain to add to addresses and hosts without one."),
]
Keys = Annotated[
    bool,
    typer.Option(
        "--idempotency-keys/--no-idempotency-keys",
        envvar="RELAY_SMTP_IDEMPOTENCY_KEYS",
        help="Send a message once, by its Message-ID, even if the client repeats it after a lost reply. Without: faster.",
    ),
]
MaxBytes = Annotated[
    int, typer.Option(envvar="RELAY_SMTP_MAX_BYTES", help="The maximum size of a message, in bytes.", min=1_000)
]
MaxMemory = Annotated[
    int,
    typer.Option(
        envvar="RELAY_SMTP_MAX_MEMORY",
        help="The maximum size of all messages in transfer, in bytes.",
        min=1_000_000,
    ),
]
MaxConnections = Annotated[
    int, typer.Option(envvar="RELAY_SMTP_MAX_CONNECTIONS", help="The maximum number of connections.", min=1)
]
MaxPerAddress = Annotated[
    int,
    typer.Option(
        envvar="RELAY_SMTP_MAX_PER_ADDRESS", help="The maximum number of connections from one address.", min=1
    ),
]
MaxRecipients = Annotated[
    int,
    typer.Option(
        envvar="RELAY_SMTP_MAX_RECIPIENTS", help="The maximum number of recipients of a message.", min=1, max=1_000
    ),
]
MaxErrors = Annotated[
    int, typer.Option(envvar="RELAY_SMTP_MAX_ERRORS", help="The number of errors that ends a session.", min=1)
]
IdleSeconds = Annotated[
    float,
    typer.Option(envvar="RELAY_SMTP_IDLE_SECONDS", help="How long a client may be silent, in seconds.", min=1),
]
MinRate = Annotated[
    int,
    typer.Option(
        envvar="RELAY_SMTP_MIN_RATE",
        help="The bytes a second at which a message must arrive, after the idle seconds.",
        min=1,
    ),
]
