"""Send HTTP requests with a token from Microsoft Entra, and replace a refused token once."""

from collections.abc import Awaitable, Callable
from typing import Any

from relay.core.settings import RouteSettings
from relay.platform.entra_tokens import NoToken
from relay.providers.http_exchange import HttpResponse, LostResponse

type ExchangeResult = HttpResponse | LostResponse | NoToken
"""The result of a request: a response, a lost response, or the reason why there was no token."""


async def with_token(
    credential: Any,
    settings: RouteSettings,
    scope: str,
    request: Callable[[str], Awaitable[HttpResponse | LostResponse]],
) -> ExchangeResult:
    """Call `request` with a token for `scope`. On a 401, call it once more with another token, if there is one.

    A 401 means that nothing was done (RFC 9110 section 15.5.2), so the second request repeats nothing.
    """
    token: str | NoToken = await credential.token(settings, scope)
    if not isinstance(token, str):
        return token
    result = await request(token)
    if not isinstance(result, HttpResponse) or result.status != 401:
        return result
    renewed: str | NoToken = await credential.token(settings, scope, refused=token)
    if not isinstance(renewed, str):
        return renewed
    return result if renewed == token else await request(renewed)
