"""Authenticate SMTP clients: passwords by user, and tokens for Exchange Online."""

from collections.abc import Mapping

from standins.entra import TokenIssuer

AUDIENCE = "https://outlook.office365.com"

# Texts: Exchange Online, learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-
# smtp-submission, and the message center's MC786329.
REFUSALS: Mapping[str, str] = {
    "credentials_refused": "535 5.7.3 Authentication unsuccessful",
    "smtp_auth_disabled": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
    "Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.",
    "basic_auth_retired": "550 5.7.30 Basic authentication is not supported for Client Submission.",
}
"""The reply to AUTH in each account state."""


class Gate:
    """Checks credentials. Returns an empty text if they are valid, else the reply."""

    def __init__(self, users: Mapping[str, str], issuer: TokenIssuer) -> None:
        self.users = dict(users)
        self.issuer = issuer

    def by_password(self, account: str, name: str, password: str) -> str:
        if account in REFUSALS:
            return REFUSALS[account]
        return "" if self.users.get(name) == password else "535 5.7.8 Authentication credentials invalid"

    def by_token(self, account: str, name: str, token: str) -> str:
        """Check a token. `basic_auth_retired` refuses only passwords."""
        if account in REFUSALS and account != "basic_auth_retired":
            return REFUSALS[account]
        is_good = name in self.users and self.issuer.is_valid(token, AUDIENCE)
        return "" if is_good else REFUSALS["credentials_refused"]


def read_xoauth2(answer: bytes) -> tuple[str, str]:
    """Return user and token of `user=<name>^Aauth=Bearer <token>^A^A`; empty if missing."""
    fields = dict(field.partition("=")[::2] for field in answer.decode("utf-8", "replace").split("\x01") if field)
    scheme, _, token = fields.get("auth", "").partition(" ")
    return fields.get("user", ""), token if scheme.lower() == "bearer" else ""
