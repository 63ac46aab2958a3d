"""`relay resend`, `redrive`: send a message again that was sent; resend mail that a provider accepted and lost."""

from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, print_result, remote_of, reports_errors
from relay.cli.paging import call_until_done
from relay.cli.remote import UNAVAILABLE, Remote, RemoteError


@reports_errors
def resend(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="The message's id.")],
    route: Annotated[str | None, typer.Option(help="Send it by this route (operators only).")] = None,
    reason: Annotated[str | None, typer.Option(help="The reason, for the audit log.")] = None,
    sent_until: Annotated[
        str | None,
        typer.Option(help="Only copies sent until then (default: all). Makes a repetition send no third copy."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a message again that was sent.

    Each recipient that is not suppressed gets a second copy.

    Examples:

      relay resend msg_0… --reason "ticket 4711: not found in the inbox"

      relay resend msg_0… --route exchange
    """
    done = resend_message(remote_of(context), message, route=route, reason=reason, sent_until=sent_until)
    print_result(done, f"Queued again: {done['id']} is {done['state']}.", as_json=as_json)


def resend_message(
    remote: Remote, message: str, *, route: str | None, reason: str | None, sent_until: str | None
) -> dict[str, Any]:
    """Resend a message and return its state. Raises `RemoteError`, which says how to repeat a call without a response."""
    if sent_until is None:
        shown = remote.call("GET", f"/v1/messages/{message}")
        attempts = shown.get("attempts")
        sent_until = attempts[-1]["at"] if attempts else shown["created_at"]
    body = {"sent_until": sent_until, "route": route, "reason": reason}
    try:
        done: dict[str, Any] = remote.call("POST", f"/v1/messages/{message}/resend", json=body, is_repeatable=True)
    except RemoteError as error:
        if error.exit_code != UNAVAILABLE:
            raise
        text = f"{error}\nIt may have been queued all the same. To repeat without a third copy, add --sent-until {sent_until}"
        raise RemoteError(text, exit_code=UNAVAILABLE, error=error.error, status=error.status) from error
    return done


@reports_errors
def redrive(
    context: typer.Context,
    route: Annotated[str, typer.Option(help="The route that sent them.")],
    sent_between: Annotated[
        tuple[str, str],
        typer.Option(help="Start (inclusive) and end (exclusive) of the period: ISO 8601 with an offset."),
    ],
    without_delivered: Annotated[
        bool, typer.Option("--without-delivered", help="Only messages without a reported delivery. Required.")
    ] = False,
    to_route: Annotated[str | None, typer.Option(help="Resend by this route (default: by the routing rules).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Resend mail that a provider accepted and never reported as delivered.

    It is safe to repeat: nothing is resent twice.

    Example: relay redrive --route sendgrid --sent-between 2026-03-01T00:00:00Z 2026-03-02T00:00:00Z --without-delivered
    """
    request: dict[str, Any] = {
        "route": route,
        "sent_since": sent_between[0],
        "sent_before": sent_between[1],
        "without_delivered": without_delivered,
        "dry_run": dry_run,
        **({"to_route": to_route} if to_route else {}),
    }
    total = call_until_done(
        context, "/v1/redrive", request, ("found", "redriven", "skipped", "unreadable"), is_quiet=as_json
    )
    print_result(total, ", ".join(f"{count} {name}" for name, count in total.items()) + ".", as_json=as_json)
