"""`relay redrive`: resend mail that a provider accepted and lost."""

from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_json, reports_errors
from relay.cli.paging import call_until_done


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
    """Resend mail that a provider accepted and never reported as delivered. It is safe to repeat: nothing is sent twice.

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
    if as_json:
        print_json(total)
    else:
        console.print(", ".join(f"{count} {name}" for name, count in total.items()) + ".")
