"""`relay templates …`: move templates to Relay."""

from contextlib import closing
from typing import Annotated

import msgspec
import typer

from relay.cli.output import AsJson, console, print_json, print_table, remote_of, reports_errors
from relay.cli.remote import BAD_RESULT, RemoteError
from relay.cli.templates.importing import IMPORTED, REFUSED_BY_RELAY, UNCHANGED, Choices, import_templates
from relay.cli.templates.sendgrid import SENDGRID_URL, SendGridAccount

app = typer.Typer(no_args_is_help=True, help="Move templates to Relay.")


@app.command("import")
@reports_errors
def import_all(
    context: typer.Context,
    from_sendgrid: Annotated[bool, typer.Option("--from-sendgrid", help="Read SendGrid's dynamic templates.")] = False,
    sendgrid_key: Annotated[
        str, typer.Option(envvar="SENDGRID_API_KEY", help="A key that may read templates.", show_envvar=True)
    ] = "",
    sendgrid_url: Annotated[
        str, typer.Option(help="SendGrid's address; https://api.eu.sendgrid.com for EU subusers.")
    ] = SENDGRID_URL,
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Import inactive versions too, each under a name of its own.")
    ] = False,
    sendgrid_tags: Annotated[
        bool,
        typer.Option(
            "--sendgrid-tags", help="Import templates with {{{unsubscribe}}} and such too: your data has them."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be imported.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import templates with their active versions, each under its id: then `template_id` works on every route.

    A repeated import writes only changed templates. Exits 4 if Relay refused a template.

    Example: SENDGRID_API_KEY=SG.… relay templates import --from-sendgrid --dry-run
    """
    if not from_sendgrid or not sendgrid_key:
        text = "Give --from-sendgrid." if not from_sendgrid else "No SendGrid key. Set SENDGRID_API_KEY."
        raise RemoteError(text, exit_code=2)
    choices = Choices(all_versions=all_versions, sendgrid_tags=sendgrid_tags, dry_run=dry_run)
    with closing(SendGridAccount(sendgrid_url, sendgrid_key)) as account:
        found = list(import_templates(remote_of(context), account.templates(), choices))
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        rows = [(each.template, each.name, each.result, each.version, each.reason) for each in found]
        columns = ("template", "name", "result", "version", "why")
        print_table(
            columns, rows, empty="SendGrid has no dynamic templates.", ids=("template",), first=("result", "why")
        )
        count = {result: sum(each.result == result for each in found) for result in (IMPORTED, UNCHANGED)}
        verb = "would be imported" if dry_run else "imported"
        rest = len(found) - sum(count.values())
        console.print(f"{count[IMPORTED]} {verb}, {count[UNCHANGED]} unchanged, {rest} not imported.", highlight=False)
    if any(each.result == REFUSED_BY_RELAY for each in found):
        raise typer.Exit(BAD_RESULT)
