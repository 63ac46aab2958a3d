"""`relay arrivals`: show the rates of bounces and complaints."""

from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, print_json, print_table, remote_of, reports_errors


@reports_errors
def arrivals(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="client, tag, route, domain, hour or day.")] = "client",
    since: Annotated[str | None, typer.Option(help="Accepted at or after: ISO 8601 with an offset.")] = None,
    before: Annotated[str | None, typer.Option(help="Accepted before: ISO 8601 with an offset.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the rates of bounces and complaints, of the last 24 hours by default.

    Example: relay arrivals --by domain
    """
    query = {"by": by, "since": since, "before": before}
    found = remote_of(context).call("GET", "/v1/arrivals", query=query)
    if as_json:
        print_json(found)
        return
    columns = (by, "sent", "delivered", "bounced", "complaints", "bounce rate", "complaint rate")
    print_table("", columns, map(_row, found["value"]), empty="No mail was counted.")


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["at"] or row["name"] or "(others)",
        row["sent"],
        row["delivered"],
        row["hard_bounced"] + row["soft_bounced"],
        row["complained"],
        f"{100 * row['bounce_rate']:.2f} %",
        f"{100 * row['complaint_rate']:.2f} %",
    )
