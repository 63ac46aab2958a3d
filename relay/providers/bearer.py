"""Exchanges with a token from Microsoft Entra: a refused one is replaced once."""

from collections.abc import Awaitable, Callable
from typing import Any

from relay.core.settings import RouteSettings
from relay.platform.entra_tokens import NoToken
from relay.providers.http_exchange import HttpResponse, LostResponse

type ExchangeResult = HttpResponse | LostResponse | NoToken
"""What came of a request: an answer, its loss, or that there was no token to make it with."""


async def with_token(
    credential: Any,
    settings: RouteSettings,
    scope: str,
    request: Callable[[str], Awaitable[HttpResponse | LostResponse]],
) -> ExchangeResult:
    """What `ask` gets with a token for `scope`; on 401 once more with another token, if there is one.

    A 401 says that nothing was done (RFC 9110 section 15.5.2), so asking again repeats nothing.
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
