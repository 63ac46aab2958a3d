"""`relay send`, `status`, `messages`, `arrivals`: send and list messages, show their status and the rates of bounces."""

import base64
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli.output import (
    AsJson,
    console,
    print_export,
    print_json,
    print_list,
    print_pairs,
    print_table,
    remote_of,
    reports_errors,
)
from relay.cli.remote import BAD_RESULT, Remote
from relay.core.model import FINAL, State

POLL_SECONDS = 1.0


@reports_errors
def send(
    context: typer.Context,
    to: Annotated[list[str], typer.Option(help="A recipient; repeat it for several.")],
    sender: Annotated[str, typer.Option("--from", help="The From address.")],
    subject: Annotated[str, typer.Option(help="The subject.")],
    text: Annotated[str | None, typer.Option(help="The text; `-` reads stdin, `@file` a file.")] = None,
    html: Annotated[str | None, typer.Option(help="The HTML; `-` reads stdin, `@file` a file.")] = None,
    cc: Annotated[list[str] | None, typer.Option(help="A Cc recipient; repeat it for several.")] = None,
    bcc: Annotated[list[str] | None, typer.Option(help="A Bcc recipient; repeat it for several.")] = None,
    reply_to: Annotated[list[str] | None, typer.Option(help="A Reply-To address; repeat it for several.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header, as `Name: value`; repeat it for several.")] = None,
    attach: Annotated[
        list[Path] | None, typer.Option(help="A file to attach; repeat it for several.", exists=True, dir_okay=False)
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeat it for several.")] = None,
    lane: Annotated[str | None, typer.Option(help="The lane.")] = None,
    route: Annotated[str | None, typer.Option(help="The route; overrides the routing rules.")] = None,
    send_at: Annotated[str | None, typer.Option(help="When to send: ISO 8601 with an offset.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="With the same key, a repeated command does not send again (default: a new key).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the message and show how it would be sent; send nothing.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Wait until the message has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send one message.

    Examples:

      relay send --from shop@example.com --to ada@example.net --subject Hello --text "It works."

      df -h | relay send --from cron@example.com --to ops@example.com --subject Disks --text - --attach disks.csv
    """
    remote = remote_of(context)
    message: dict[str, Any] = {
        "from": sender,
        "to": to,
        "cc": cc,
        "bcc": bcc,
        "reply_to": reply_to,
        "subject": subject,
        "text": _content(text),
        "html": _content(html),
        "headers": dict(_header(line) for line in header or ()) or None,
        "attachments": [_attachment(path) for path in attach or ()] or None,
        "tags": tag,
        "lane": lane,
        "route": route,
        "send_at": send_at,
        "dry_run": dry_run or None,
    }
    body = {name: value for name, value in message.items() if value}
    response = remote.call(
        "POST", "/v1/messages", json=body, headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    )
    if dry_run or not follow:
        print_json(response) if as_json else print_pairs(response)
        return
    _follow(remote, response["id"], as_json=as_json)


@reports_errors
def status(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="The message's id.")],
    follow: Annotated[bool, typer.Option("--follow", help="Wait until the message has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the state of a message, its recipients and its attempts.

    With --follow, exits 0 if it was sent and 4 if it ended in another state.
    """
    remote = remote_of(context)
    if follow:
        _follow(remote, message, as_json=as_json)
    else:
        _print(remote.call("GET", f"/v1/messages/{message}"), as_json=as_json)


@reports_errors
def messages(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    arrival: Annotated[
        str | None, typer.Option(help="Only with this arrival of a recipient, such as `bounced` or `not_reported`.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", "--recipient", help="Only to this recipient; @example.org: to this domain.")
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--from", help="Only from this address; @example.org: from this domain.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only with all these words in the subject.")] = None,
    metadata: Annotated[str | None, typer.Option(help="Only with this metadata: name=value.")] = None,
    client: Annotated[str | None, typer.Option(help="Only of this client (operators only).")] = None,
    since: Annotated[str | None, typer.Option(help="Accepted at or after: ISO 8601 with an offset.")] = None,
    before: Annotated[str | None, typer.Option(help="Accepted before: ISO 8601 with an offset.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="The maximum number of rows.", min=1)] = 50,
    export: Annotated[bool, typer.Option("--export", help="Write every message as CSV, whatever the limit.")] = False,
    as_json: AsJson = False,
) -> None:
    """List messages, newest first.

    Examples:

      relay messages --state deferred --since 2026-03-01T00:00:00Z

      relay messages --to ada@example.org --subject "invoice 4711"

      relay messages --tag invoice --export > messages.csv
    """
    named = {"from": sender, "subject": subject, "metadata": metadata, "client": client}
    query = {"state": state, "arrival": arrival, "tag": tag, "recipient": to, "since": since, "before": before, **named}
    remote = remote_of(context)
    if export:
        print_export(remote, "/v1/messages/export", query)
        return
    found = list(remote.pages("/v1/messages", query, limit=limit))
    columns = ("accepted", "state", "arrival", "id", "recipient", "subject")
    print_list(found, columns, _cells, empty="No messages.", as_json=as_json, first=("state", "recipient"))


def _cells(row: dict[str, Any]) -> Sequence[Any]:
    return row["created_at"], row["state"], _arrival(row), row["id"], row.get("recipient"), row.get("subject")


def _arrival(row: dict[str, Any]) -> str:
    """Name an arrival, and of a bounce its type."""
    return " ".join(row[name] for name in ("bounce_type", "arrival") if name in row).replace("_", " ")


@reports_errors
def arrivals(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="Group by client, tag, route, domain, hour or day.")] = "client",
    since: Annotated[str | None, typer.Option(help="Accepted at or after: ISO 8601 with an offset.")] = None,
    before: Annotated[str | None, typer.Option(help="Accepted before: ISO 8601 with an offset.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the rates of bounces and complaints, of the last 24 hours by default.

    Example: relay arrivals --by domain
    """
    query = {"by": by, "since": since, "before": before}
    found = remote_of(context).call("GET", "/v1/arrivals", query=query)
    columns = (by, "sent", "delivered", "bounced", "complaints", "bounce rate", "complaint rate")
    if as_json:
        print_json(found)
    else:
        print_table(columns, map(_counts, found["value"]), empty="No mail was counted.")


def _counts(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["at"] or row["name"] or "(others)",
        row["sent"],
        row["delivered"],
        row["hard_bounced"] + row["soft_bounced"],
        row["complained"],
        f"{100 * row['bounce_rate']:.2f} %",
        f"{100 * row['complaint_rate']:.2f} %",
    )


def _follow(remote: Remote, name: str, *, as_json: bool) -> None:
    with console.status("queued") as line:
        while True:
            message = remote.call("GET", f"/v1/messages/{name}")
            if message["state"] in FINAL:
                break
            line.update(f"{message['state']} …")
            time.sleep(POLL_SECONDS)
    _print(message, as_json=as_json)
    if message["state"] != State.SENT:
        raise typer.Exit(BAD_RESULT)


def _print(message: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(message)
        return
    named = ("id", "state", "created_at", "next_attempt_at", "erased_at", "lane", "subject")
    print_pairs({name: message.get(name) for name in named})
    recipients = [
        (row.get("kind"), row["email"], row.get("state"), _arrival(row), row.get("route"), row.get("code"))
        for row in message.get("recipients", ())
    ]
    columns = ("", "address", "state", "arrival", "route", "cause")
    print_table(columns, recipients, empty="", title="\nRecipients")
    attempts = [
        (row["number"], row["at"], row["route"], row["outcome"], row.get("code"), row.get("reply"))
        for row in message.get("attempts", ())
    ]
    columns = ("", "at", "route", "outcome", "cause", "reply")
    print_table(columns, attempts, empty="\nNo attempts yet.", title="\nAttempts")
    events = [(row["at"], row["kind"], row.get("recipient"), row.get("reply")) for row in message.get("events", ())]
    if events:
        print_table(("at", "event", "recipient", "reply"), events, empty="", title="\nEvents")


def _content(text: str | None) -> str | None:
    if text == "-":
        return typer.get_text_stream("stdin").read()
    if text and text.startswith("@"):
        return Path(text[1:]).read_text()
    return text


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise typer.BadParameter(f"{line!r} is not Name: value", param_hint="--header")
    return name.strip(), value.strip()


def _attachment(path: Path) -> dict[str, str]:
    return {"name": path.name, "content": base64.b64encode(path.read_bytes()).decode()}
