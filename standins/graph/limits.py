"""Limits that Exchange Online applies after it has accepted a mail with 202: it refuses by a non-delivery report.

Source: learn.microsoft.com/troubleshoot/exchange/email-delivery/ndr/non-delivery-reports-in-exchange-online (5.7.232, 5.7.233,
5.1.90: rolling windows; 5.1.8, 5.7.705: blocks). A mail that exceeds a limit is refused for all its recipients here.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from standins.bounces import Bounce
from standins.inbox import Mail

TEXT = (
    "Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients "
    "(tenant external recipient rate limit)"
)


class OutboundLimit:
    """At most `recipients` recipients in a rolling window. With 0, everything is refused. `internal` domains do not count."""

    def __init__(
        self,
        recipients: int,
        window: timedelta = timedelta(days=1),
        status: str = "5.7.233",
        text: str = TEXT,
        *,
        internal: Collection[str] = (),
    ) -> None:
        self._recipients = recipients
        self._window = window
        self._internal = internal
        self._bounce = f"550 {status} {text}", status
        self._delivered: list[datetime] = []

    def refusals(self, mail: Mail, now: datetime) -> tuple[Bounce, ...]:
        """Count a mail. Return the refusal of each recipient if the limit is reached; nothing otherwise."""
        self._delivered = [at for at in self._delivered if at > now - self._window]
        counted = sum(address.rpartition("@")[2] not in self._internal for address in mail.envelope)
        if len(self._delivered) + counted > self._recipients and (counted or not self._internal):
            words, status = self._bounce
            return tuple(Bounce(address=address, status=status, diagnostic=words) for address in mail.envelope)
        self._delivered += [now] * counted
        return ()
