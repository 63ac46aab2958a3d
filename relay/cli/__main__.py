"""Runs the command line: `python -m relay.cli`."""

from relay.cli.app import app

app(prog_name="relay")
