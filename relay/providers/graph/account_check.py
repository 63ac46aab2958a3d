"""What a Graph token says of the app's rights, for the doctor.

Rights by RBAC for Applications (scoped to mailboxes) are not in a token; those consented in Entra are, and hold for every
mailbox of the tenant. The two add up. Source: learn.microsoft.com/exchange/permissions-exo/application-rbac.
"""

import base64
import binascii
from collections.abc import Sequence

import msgspec

from relay.providers.contract import AccountRemark

_WIDE = ("Mail.Send", "Mail.ReadWrite", "Mail.Read")


class _Claims(msgspec.Struct):
    roles: tuple[str, ...] = ()


def remarks(token: str) -> Sequence[AccountRemark]:
    """What to say of an access token. It is only read, not trusted: Graph decides."""
    try:
        payload = token.split(".")[1]
        encoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        roles = msgspec.json.decode(encoded, type=_Claims).roles
    except (IndexError, binascii.Error, msgspec.MsgspecError):
        return [AccountRemark(health="ok", what="a token was given; it tells nothing of its rights")]
    wide = [role for role in roles if role in _WIDE]
    if not wide:
        return [AccountRemark(health="ok", what="no right over all mailboxes of the tenant is consented")]
    return [
        AccountRemark(
            health="warning",
            what=f"{', '.join(wide)} is consented for every mailbox of the tenant",
            why="Whoever has this app's identity can act for everybody in the company.",
            fix="Use RBAC for Applications scoped to the sending mailboxes, and remove the consent"
            " (docs/how-to/exchange-online.md).",
        )
    ]
