"""Errors of a request without a response: the server cannot have the whole request, or it may."""


class NoResponse(ConnectionError):
    """A request without a response. The text is only the type of the cause: it never contains what was sent or received."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSent(NoResponse):
    """The server cannot have the whole request: no connection was made, or it was lost while part of the body was still here."""


class InvalidRequest(NotSent):
    """The request cannot be written as HTTP. Nothing was sent."""


class ResponseLost(NoResponse):
    """The server may have the whole request.

    `is_stale`: the connection had been kept from an earlier request and closed without a byte of response. Usually the server
    had closed it before this request arrived, so a request that may be repeated is worth a second try.
    """

    def __init__(self, reason: str, *, is_stale: bool = False) -> None:
        super().__init__(reason)
        self.is_stale = is_stale
