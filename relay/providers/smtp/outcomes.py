"""What it means that an SMTP connection was lost, or never came to be."""

import ssl

from relay.core.outcomes import Deferred, RouteFault, reply_text


def losses() -> tuple[type[BaseException], ...]:
    """The exceptions that mean a lost connection, a time-out or a server that speaks no SMTP."""
    from aiosmtplib import SMTPException

    return (SMTPException, OSError, TimeoutError)


def opening_failed(error: BaseException) -> Deferred | RouteFault:
    """What it means that no connection could be opened. Nothing was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RouteFault(code="misconfigured", reply=reply_text(f"the certificate: {cause.verify_message}"))
        # The two that a connection cut amid the handshake shows are passing trouble, not a fault of the settings.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return RouteFault(code="misconfigured", reply=reply_text(f"TLS: {cause}"))
        cause = cause.__cause__
    return Deferred(code="unreachable", reply=type(error).__name__)
