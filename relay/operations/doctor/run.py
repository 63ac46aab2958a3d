"""Runs all checks concurrently, each with a timeout. A check that fails becomes a finding."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relay.operations.doctor import domains, host, routes, secrets, storage, unsubscribe
from relay.operations.doctor.findings import Check, Finding, fault
from relay.platform.log import log_failure

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices

CHECK_SECONDS = 20.0


async def examine(services: "DoctorServices", resolve: domains.Resolve | None = None) -> Sequence[Finding]:
    """Run all checks. Returns findings in the order in which to fix them. `resolve` asks the DNS (default: the machine's)."""
    clients = await _clients(services)
    senders = domains.sender_domains(services.settings, clients)
    checks: list[tuple[str, Check]] = [
        ("settings", lambda: host.settings(services)),
        ("host.json", lambda: host.host_json(host.FOLDER)),
        ("storage", lambda: storage.rights(services)),
        ("clock", lambda: storage.clock(services)),
        ("queues", lambda: storage.queues(services)),
        ("secrets", lambda: secrets.secrets(services)),
        *_of_routes(services, senders),
        ("unsubscribe links", lambda: unsubscribe.unsubscribe(services)),
        *_of_traces(services),
        *_of_domains(services, senders, resolve or domains.resolver()),
    ]
    found = await asyncio.gather(*(_bounded(about, check) for about, check in checks))
    return [finding for findings in found for finding in findings]


def _of_routes(services: "DoctorServices", senders: Sequence[str]) -> Iterator[tuple[str, Check]]:
    for name in services.settings.routes:
        yield f"route {name}", lambda name=name: routes.route(services, name, senders)  # type: ignore[misc] # bound here


def _of_traces(services: "DoctorServices") -> Iterator[tuple[str, Check]]:
    if services.settings.message_traces:
        from relay.operations.doctor.message_trace import about, trace

        for reader in services.message_traces.readers:
            yield about(reader), lambda reader=reader: trace(services, reader)  # type: ignore[misc] # bound here


def _of_domains(
    services: "DoctorServices", senders: Sequence[str], resolve: domains.Resolve
) -> Iterator[tuple[str, Check]]:
    providers = {route.provider for route in services.settings.routes.values()}
    for domain in senders:
        yield f"domain {domain}", lambda domain=domain: domains.domain(domain, providers, resolve)  # type: ignore[misc] # as above


async def _clients(services: "DoctorServices") -> Sequence[str]:
    """Return the sender patterns of all clients; none if storage fails, which has its own finding."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            clients = await services.clients.all()
    except Exception:
        return ()
    return [pattern for client in clients.values() for pattern in client.policy.senders]


async def _bounded(about: str, check: Check) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        text = f"no answer within {CHECK_SECONDS:g} seconds"
        return [
            fault(about, text, "Relay cannot use it while it does not respond.", "Check the network and rerun this.")
        ]
    except Exception as error:
        log_failure("doctor_failed", about=about)
        why = "The check itself failed, so its result is unknown."
        return [fault(about, f"the check failed ({type(error).__name__})", why, "See the log for details.")]
