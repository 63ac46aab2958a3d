"""`relay audit`: list who changed what, and export it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, print_export, print_list, remote_of, reports_errors
from relay.operations.audit.record import AuditOutcome


class ExportFormat(StrEnum):
    """The format of an export."""

    CSV = "csv"
    JSON_LINES = "jsonl"


@reports_errors
def audit(
    context: typer.Context,
    client: Annotated[str | None, typer.Option(help="Only calls by this client.")] = None,
    operation: Annotated[str | None, typer.Option(help="Only calls of this operation, such as HoldRoute.")] = None,
    target: Annotated[str | None, typer.Option(help="Only calls about this route, client, message or address.")] = None,
    outcome: Annotated[AuditOutcome | None, typer.Option(help="Only calls with this outcome.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only calls at or after this time (ISO 8601 with an offset).")
    ] = None,
    before: Annotated[str | None, typer.Option(help="Only calls before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The number of records to list.")] = 50,
    export: Annotated[ExportFormat | None, typer.Option(help="Write every record, whatever the limit.")] = None,
    as_json: AsJson = False,
) -> None:
    """List who changed what, newest first.

    Examples:

      relay audit --target sendgrid

      relay audit --since 2026-03-01T00:00:00Z --export csv > audit.csv
    """
    query = {
        **{"client": client, "operation": operation, "target": target},
        **{"outcome": outcome, "since": since, "before": before},
    }
    remote = remote_of(context)
    if export is not None:
        print_export(remote, f"/v1/audit/export.{export}", query)
        return
    found = list(remote.pages("/v1/audit", {**query, "limit": min(limit, 1000)}, limit=limit))
    columns = ("time", "client", "role", "operation", "target", "reason", "outcome")
    print_list(
        found, columns, _cells, empty="No records.", as_json=as_json, ids=("target",), first=("operation", "client")
    )


def _cells(record: Mapping[str, Any]) -> Sequence[str]:
    target = " ".join([record["target"], *(f"{name}={value}" for name, value in record["details"].items())])
    outcome = f"{record['outcome']} ({record['code']})" if record["code"] else record["outcome"]
    return record["at"], record["client"], record["role"], record["operation"], target, record["reason"], outcome
