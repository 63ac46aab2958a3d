"""`python -m relay.cli`: the operator's command line."""

from relay.cli.app import app

app(prog_name="relay")
