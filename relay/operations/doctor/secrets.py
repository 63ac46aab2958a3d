"""Reports when each secret expires."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from relay.operations.doctor.findings import Finding, fault, ok, warning
from relay.operations.doctor.secret_expiry import SecretReport
from relay.platform.key_vault import EXPIRES_SOON

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices


async def secrets(services: "DoctorServices") -> Sequence[Finding]:
    """Report each secret that has a date, or that the vault could give one."""
    now = services.clock()
    return [finding for report in await services.secret_expiry.check() for finding in _findings(report, now)]


def _findings(report: SecretReport, now: datetime) -> Iterator[Finding]:
    about, expires_at, created_at = f"secret {report.name}", report.dates.expires_at, report.dates.created_at
    why = f"Used by {', '.join(report.used_by)}, which stops when it expires."
    fix = "Store a new version under the same name, with --expires (docs/how-to/rotate-keys.md). No restart is needed."
    if report.problem:
        # A route's check reports the secrets of its route.
        if not any(user.startswith("route ") for user in report.used_by):
            yield fault(
                about, report.problem, f"Used by {', '.join(report.used_by)}.", "Check the vault and its roles."
            )
    elif expires_at is not None and expires_at <= now:
        yield fault(about, f"expired on {expires_at:%Y-%m-%d}", why, fix)
    elif expires_at is not None and expires_at - now < EXPIRES_SOON:
        yield warning(about, f"expires in {(expires_at - now).days} days, on {expires_at:%Y-%m-%d}", why, fix)
    elif expires_at is not None:
        yield ok(about, f"expires on {expires_at:%Y-%m-%d}")
    elif created_at is not None:
        age = f"stored {(now - created_at).days} days ago"
        yield ok(about, f"{age}, without an expiry date: Relay cannot warn before it expires")
