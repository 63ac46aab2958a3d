"""End sessions that hold a connection without sending mail: no sign-in, commands without effect, messages that trickle in.

Dovecot bounds the time until sign-in (https://doc.dovecot.org/2.4.2/core/admin/timeouts.html), Postfix the commands and the data
rate (https://www.postfix.org/postconf.5.html: `smtpd_junk_command_limit`, `smtpd_recipient_overshoot_limit`,
`smtpd_per_request_deadline`, `smtpd_min_data_rate`).
"""

import asyncio
from collections.abc import Callable

from relay.submission.settings import Limits


class SessionLimits:
    """The limits of one session. `end` gets the reply that ends it when its time is over."""

    def __init__(self, limits: Limits, *, loop: asyncio.AbstractEventLoop, end: Callable[[bytes], None]) -> None:
        self._limits = limits
        self._loop = loop
        self._end = end
        self._errors = self._commands = self._overshoot = 0
        self._login_timer: asyncio.TimerHandle | None = None
        self._message_timer: asyncio.TimerHandle | None = None
        self._message_until = 0.0

    def await_login(self, has_login: Callable[[], bool]) -> None:
        """Start the time within which the client must sign in."""

        def check() -> None:
            if not has_login():
                self._end(b"421 4.7.0 No sign-in within %g seconds" % self._limits.login_seconds)

        self._login_timer = self._loop.call_later(self._limits.login_seconds, check)

    def after(self, reply: bytes) -> bytes:
        """Count a reply. Returns the reply that ends the session, empty if it goes on."""
        self._commands += 1
        if reply.startswith(b"5"):
            self._errors += 1
        if self._errors >= self._limits.errors:
            return b"421 4.7.0 Too many errors"
        if self._commands > self._limits.commands:
            return b"421 4.7.0 Too many commands without a message (limit %d)" % self._limits.commands
        return b""

    def excuse(self) -> None:
        """Leave the next reply out of the count: its command was a part of a message, and those have limits of their own."""
        self._commands -= 1

    def excuse_overshoot(self) -> None:
        """Leave out a recipient beyond the limit: a client sends many at once, before it reads that there are too many."""
        self._overshoot += 1
        if self._overshoot <= self._limits.overshoot:
            self.excuse()

    def accepted(self) -> None:
        """Begin the count again after an accepted message."""
        self._errors = self._commands = self._overshoot = 0

    def message_begins(self) -> None:
        """Give the message its time: that of a silent client, and more for what arrives."""
        self._set_message_timer(self._loop.time() + self._limits.idle_seconds)

    def message_grows(self, size: int) -> None:
        """Extend the time of the message, never beyond that of a message that begins now."""
        latest = self._loop.time() + self._limits.idle_seconds
        self._set_message_timer(min(self._message_until + size / self._limits.min_rate, latest))

    def message_ends(self) -> None:
        """Stop the time of the message."""
        if self._message_timer is not None:
            self._message_timer.cancel()

    def close(self) -> None:
        """Stop all timers."""
        self.message_ends()
        if self._login_timer is not None:
            self._login_timer.cancel()

    def _set_message_timer(self, until: float) -> None:
        self.message_ends()
        self._message_until = until
        text = b"421 4.7.0 Message too slow: send at least %d bytes a second" % self._limits.min_rate
        self._message_timer = self._loop.call_at(until, self._end, text)
