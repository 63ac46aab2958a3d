"""`relay redrive`: send again what a provider took and lost."""

from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_json, told
from relay.cli.paging import take_all_steps


@told
def redrive(
    context: typer.Context,
    route: Annotated[str, typer.Option(help="The route that sent them.")],
    sent_between: Annotated[
        tuple[str, str], typer.Option(help="From and before when they were sent: two times, ISO 8601 with an offset.")
    ],
    without_delivered: Annotated[
        bool, typer.Option("--without-delivered", help="Those of which nobody reported a delivery. Must be given.")
    ] = False,
    to_route: Annotated[str | None, typer.Option(help="Send them by this route.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find mail that a provider took and of which no delivery was reported, and send it again. Repeating sends nothing twice.

    Example: relay redrive --route sendgrid --sent-between 2026-03-01T00:00:00Z 2026-03-02T00:00:00Z --without-delivered
    """
    wanted: dict[str, Any] = {
        "route": route,
        "sent_since": sent_between[0],
        "sent_before": sent_between[1],
        "without_delivered": without_delivered,
        "dry_run": dry_run,
        **({"to_route": to_route} if to_route else {}),
    }
    total = take_all_steps(context, "/v1/redrive", wanted, ("found", "redriven", "skipped"), is_quiet=as_json)
    if as_json:
        print_json(total)
    else:
        console.print(", ".join(f"{count} {name}" for name, count in total.items()) + ".")
