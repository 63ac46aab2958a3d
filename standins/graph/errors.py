"""Graph's errors: codes, texts and JSON format.

Sources: learn.microsoft.com/graph/errors, /graph/resolve-auth-errors; texts from Graph issue threads
(microsoftgraph/microsoft-graph-docs, msgraph-sdk-php#1499, terraform-provider-outlook#21).
"""

import uuid
from datetime import datetime
from typing import Any

from aiohttp import web

from standins.http import json_response

DENIED = "Access is denied. Check credentials and try again."

ACCOUNT_REFUSALS = {
    "token_refused": (401, "InvalidAuthenticationToken", "Access token validation failure."),
    "access_denied": (403, "ErrorAccessDenied", DENIED),
    "policy_denied": (
        403,
        "ErrorAccessDenied",
        "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.",
    ),
    "send_as_denied": (
        403,
        "ErrorSendAsDenied",
        "The user account which was used to submit this request does not have the right to send mail on "
        "behalf of the specified sending account., Cannot submit message.",
    ),
    "mailbox_missing": (404, "ErrorInvalidUser", "The requested user is invalid."),
    "mailbox_on_premises": (
        404,
        "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ),
}
SEND_ONLY = frozenset(("send_as_denied",))


class GraphError(Exception):
    """A refusal: HTTP status, Graph's error code, message."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def default_error(status: int) -> GraphError:
    """Return Graph's usual error for a status."""
    codes = {
        401: ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
        403: ("ErrorAccessDenied", DENIED),
        429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
        500: ("ErrorInternalServerError", "An internal server error occurred. The operation failed."),
        503: ("ErrorServerBusy", "The server cannot service this request right now. Try again later."),
    }
    code, text = codes.get(status, ("UnknownError", ""))
    return GraphError(status, code, text)


def error_body(error: GraphError, now: datetime, client_request_id: str | None) -> dict[str, Any]:
    request_id = str(uuid.uuid4())
    inner = {
        "date": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_request_id or request_id,
    }
    return {"error": {"code": error.code, "message": error.message, "innerError": inner}}


def error_response(error: GraphError, now: datetime, client_request_id: str | None) -> web.Response:
    body = error_body(error, now, client_request_id)
    headers = {"request-id": body["error"]["innerError"]["request-id"], **error.headers}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com"'
    return json_response(body, error.status, headers)
