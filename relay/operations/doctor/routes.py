"""Checks each route: its secrets, a probe, its holds, and its sender setup at the provider."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from relay.core.errors import SettingsError
from relay.core.outcomes import CAUSES, FIXES, Sent
from relay.operations.doctor.findings import Finding, Health, fault, ok, warning
from relay.platform.secrets import reference_problem
from relay.routes.hold_rows import RouteState

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices


async def route(services: "DoctorServices", name: str, senders: Sequence[str]) -> Sequence[Finding]:
    """Check one route. Sends no mail."""
    about = f"route {name}"
    found = [finding async for finding in _secrets(services, name)]
    if any(finding.health is Health.FAULT for finding in found):
        return found
    provider = services.provider(name)
    answer = await provider.probe()
    if isinstance(answer, Sent):
        found.append(ok(about, f"{services.settings.routes[name].provider} is ready to send"))
    else:
        text = f"{CAUSES.get(answer.code, answer.code)} {answer.reply}".strip()
        fix = FIXES.get(answer.code, "Follow the provider's error message.")
        found.append(fault(about, text, "Mail on this route waits until the provider accepts it.", fix))
    found += await _held(services, name)
    check_account = getattr(provider, "check_account", None)
    if check_account is not None and isinstance(answer, Sent):
        found += [
            Finding(about=about, health=Health(remark.health), what=remark.what, why=remark.why, fix=remark.fix)
            for remark in await check_account(senders)
        ]
    return found


async def _held(services: "DoctorServices", name: str) -> list[Finding]:
    holds = await services.holds.all(fresh=True)
    return [
        warning(
            f"route {name}",
            f"{hold.state} since {hold.since:%Y-%m-%d %H:%M}Z: {CAUSES.get(hold.code, hold.code)}"
            + (" (one sender only)" if hold.sender else ""),
            "Its mail waits, and loses neither attempts nor time.",
            f"Fix the cause. Relay probes the route regularly; to probe it now, run `relay routes probe {name}`.",
        )
        for hold in holds.values()
        if hold.route == name and hold.state is not RouteState.ACTIVE and hold.since is not None
    ]


async def _secrets(services: "DoctorServices", name: str) -> Any:
    for key, reference in _references(services.settings.routes[name].settings):
        try:
            await services.secrets.get(reference)
        except SettingsError as error:
            why = "Without this secret the provider refuses all mail."
            yield fault(f"route {name}", f"{key}: {error}", why, FIXES["secret_unavailable"])
        else:
            if reference.startswith("vault:"):
                yield ok(f"route {name}", f"{key} is readable in Key Vault")


def _references(settings: Any) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, str) and value.startswith(("setting:", "vault:")) and not reference_problem(value):
            yield key, value
