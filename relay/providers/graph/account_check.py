"""Read an app's permissions from its Graph token, for the doctor.

A token lists permissions consented in Entra, which apply to every mailbox of the tenant, but not those granted by RBAC
for Applications (scoped to mailboxes). Both apply. Source: learn.microsoft.com/exchange/permissions-exo/application-rbac.
"""

import base64
import binascii
from collections.abc import Sequence

import msgspec

from relay.providers.contract import AccountRemark

WIDE = ("Mail.Send", "Mail.ReadWrite", "Mail.Read")
"""Permissions that open every mailbox of a tenant when they are consented in Entra."""


class _Claims(msgspec.Struct):
    roles: tuple[str, ...] = ()


def account_remarks(token: str) -> Sequence[AccountRemark]:
    """Report the permissions in an access token."""
    roles = roles_of(token)
    if roles is None:
        return [AccountRemark(health="ok", what="token acquired; permissions cannot be read from it")]
    wide = [role for role in roles if role in WIDE]
    if not wide:
        return [AccountRemark(health="ok", what="token acquired; it grants no access to all mailboxes")]
    return [
        AccountRemark(
            health="warning",
            what=f"{', '.join(wide)} is granted for every mailbox of the tenant",
            why="A leak of this app's identity would expose every mailbox of the company.",
            fix="Use RBAC for Applications scoped to the sending mailboxes, and remove the consent"
            " (docs/how-to/exchange-online.md).",
        )
    ]


def roles_of(token: str) -> Sequence[str] | None:
    """Return the permissions in an access token. The signature is not checked, because Graph itself decides what a token may do.

    None if it cannot be read.
    """
    try:
        payload = token.split(".")[1]
        encoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(encoded, type=_Claims).roles
    except (IndexError, binascii.Error, msgspec.MsgspecError):
        return None
