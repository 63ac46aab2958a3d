"""The policy of a client: the senders, recipients and routes it may use, and its limits."""

import msgspec

from relay.core.model import DeliveryGuarantee
from relay.core.settings import BrakePolicy

_EXECUTABLES = "exe dll com scr pif bat cmd msi msp ps1 vbs vbe js jse wsf wsh hta cpl jar lnk"


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The limits of a client. Patterns are `*`, an address, or `*@domain`; empty `routes`/`lanes` mean all.

    `senders` are the addresses it may use as From and as return path: a forged return path directs bounces to a victim. A new
    client has none.
    With `redirect_to` (non-production) every recipient outside `recipients` is replaced by that address; without it they
    are refused. `rate_per_minute` counts messages, `daily_quota` recipients. `refused_attachments` are globs over file names.
    `ip_ranges` are CIDR blocks the client may call from; empty means anywhere. `may_bypass_suppressions`: it may ask a provider
    to send to people who unsubscribed or whose addresses bounced. `sees` are the clients whose messages a viewer or
    support sees; empty means all. `brake` names the lanes that Relay may hold for their rates of bounces and complaints
    (`relay.routes.brakes`).
    """

    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ("*",)
    redirect_to: str | None = None
    routes: tuple[str, ...] = ()
    lanes: tuple[str, ...] = ()
    delivery: DeliveryGuarantee = DeliveryGuarantee.AT_LEAST_ONCE
    rate_per_minute: int | None = None
    daily_quota: int | None = None
    max_bytes: int | None = None
    refused_attachments: tuple[str, ...] = tuple(f"*.{ending}" for ending in _EXECUTABLES.split())
    ip_ranges: tuple[str, ...] = ()
    may_bypass_suppressions: bool = False
    sees: tuple[str, ...] = ()
    brake: BrakePolicy = BrakePolicy.BULK


NO_LIMITS = Policy()
"""The policy of a client that was made without one: it names no sender."""
