"""`relay send`, `relay status`, `relay messages`."""

import base64
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_json, print_pairs, print_table, remote_of, told
from relay.cli.remote import Remote
from relay.core.model import FINAL, State

ENDED_BADLY = 4
"""Exit code: the message ended, and not in `sent`."""
POLL_SECONDS = 1.0


@told
def send(
    context: typer.Context,
    to: Annotated[list[str], typer.Option(help="A recipient; may be given several times.")],
    sender: Annotated[str, typer.Option("--from", help="Who it is from.")],
    subject: Annotated[str, typer.Option(help="The subject.")],
    text: Annotated[str | None, typer.Option(help="The text; `-` reads it from the input.")] = None,
    html: Annotated[str | None, typer.Option(help="The HTML; `@file` reads it from a file.")] = None,
    cc: Annotated[list[str] | None, typer.Option(help="A recipient of a copy.")] = None,
    bcc: Annotated[list[str] | None, typer.Option(help="A recipient whom nobody else sees.")] = None,
    reply_to: Annotated[list[str] | None, typer.Option(help="Where answers go.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header, as Name: value.")] = None,
    attach: Annotated[list[Path] | None, typer.Option(help="A file to attach.", exists=True, dir_okay=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag.")] = None,
    lane: Annotated[str | None, typer.Option(help="The lane.")] = None,
    route: Annotated[str | None, typer.Option(help="The route, instead of what the rules choose.")] = None,
    send_at: Annotated[str | None, typer.Option(help="When: ISO 8601 with an offset.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Makes a repetition safe; by default a new one.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and explain; send nothing.")] = False,
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
    answer = remote.call(
        "POST", "/v1/messages", json=body, headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    )
    if dry_run or not follow:
        print_json(answer) if as_json else print_pairs(answer)
        return
    _follow(remote, answer["id"], as_json=as_json)


@told
def status(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="The message's id.")],
    follow: Annotated[bool, typer.Option("--follow", help="Wait until the message has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """What became of a message. With --follow the exit code is 0 when it was sent, 4 when it ended otherwise."""
    remote = remote_of(context)
    if follow:
        _follow(remote, message, as_json=as_json)
    else:
        _tell(remote.call("GET", f"/v1/messages/{message}"), as_json=as_json)


@told
def messages(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    to: Annotated[str | None, typer.Option("--recipient", help="Only to this recipient.")] = None,
    since: Annotated[str | None, typer.Option(help="Accepted at or after: ISO 8601 with an offset.")] = None,
    before: Annotated[str | None, typer.Option(help="Accepted before: ISO 8601 with an offset.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at most.", min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """List messages, the newest first.

    Example: relay messages --state deferred --since 2026-03-01T00:00:00Z
    """
    query = {"state": state, "tag": tag, "recipient": to, "since": since, "before": before}
    found = list(remote_of(context).pages("/v1/messages", query, limit=limit))
    if as_json:
        print_json(found)
        return
    rows = [(row["created_at"], row["state"], row["id"], row.get("subject"), row.get("client")) for row in found]
    print_table("", ("accepted", "state", "id", "subject", "client"), rows, nothing="There is no such message.")


def _follow(remote: Remote, name: str, *, as_json: bool) -> None:
    with console.status("queued") as line:
        while True:
            answer = remote.call("GET", f"/v1/messages/{name}")
            if State(answer["state"]) in FINAL:
                break
            line.update(f"{answer['state']} …")
            time.sleep(POLL_SECONDS)
    _tell(answer, as_json=as_json)
    if answer["state"] != State.SENT:
        raise typer.Exit(ENDED_BADLY)


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    named = ("id", "state", "created_at", "next_attempt_at", "erased_at", "lane", "subject")
    print_pairs({name: answer.get(name) for name in named})
    people = [
        (row.get("kind"), row["email"], row.get("state"), row.get("route"), row.get("code"))
        for row in answer.get("recipients", ())
    ]
    print_table("\nRecipients", ("", "address", "state", "route", "cause"), people, nothing="")
    attempts = [
        (row["number"], row["at"], row["route"], row["outcome"], row.get("code"), row.get("reply"))
        for row in answer.get("attempts", ())
    ]
    print_table("\nAttempts", ("", "at", "route", "outcome", "cause", "reply"), attempts, nothing="\nNo attempt yet.")
    events = [(row["at"], row["kind"], row.get("recipient"), row.get("reply")) for row in answer.get("events", ())]
    if events:
        print_table("\nEvents", ("at", "event", "recipient", "reply"), events, nothing="")


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
