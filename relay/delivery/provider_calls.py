"""Call a provider within a time limit. A bug in it or an endless wait is an unknown outcome of one message alone."""

import asyncio
from collections.abc import Awaitable, Callable

from relay.core.outcomes import Outcome, PerRecipient, Unknown
from relay.core.send_request import SendRequest
from relay.platform.log import log_failure
from relay.providers.contract import Provider


class ProviderCalls:
    """Sends, and asks about attempts whose outcome is uncertain."""

    def __init__(self, providers: Callable[[str], Provider]) -> None:
        """`providers` finds a route's provider."""
        self._providers = providers

    async def send(self, route: str, request: SendRequest, *, seconds: float) -> Outcome | PerRecipient:
        """Send by a route. Never raises."""
        return await self._call(route, lambda provider: provider.send(request), seconds)

    async def ask(
        self, route: str, request: SendRequest, provider_id: str | None, *, seconds: float
    ) -> Outcome | PerRecipient:
        """Ask a route's provider what became of an earlier attempt, which `request` names. Never raises."""
        return await self._call(route, lambda provider: provider.verify(request, provider_id), seconds)

    async def _call(
        self, route: str, call: Callable[[Provider], Awaitable[Outcome | PerRecipient]], seconds: float
    ) -> Outcome | PerRecipient:
        try:
            async with asyncio.timeout(seconds):
                return await call(self._providers(route))
        except TimeoutError:
            return Unknown(code="response_lost", reply=f"no answer within {seconds:g} seconds")
        except Exception as error:
            log_failure("provider_failed", route=route)
            return Unknown(code="poisoned", reply=type(error).__name__)
