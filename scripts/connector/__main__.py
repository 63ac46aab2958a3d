"""Write the connector: `make docs` writes the one in connector/, this command with options writes one for your own relay."""

import argparse
import sys
from pathlib import Path

from scripts.connector.document import Target
from scripts.connector.files import FOLDER, contents


def main() -> int:
    """Read the options and write both files. Returns the exit code 0; argparse exits with 2 on a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.connector", description=__doc__)
    parser.add_argument("--host", default=Target().host, help="Relay's host name, such as relay.contoso.com")
    parser.add_argument("--tenant", default=Target().tenant, help="the id of the Entra ID tenant of both")
    parser.add_argument("--api", default=Target().api, help="the application id that Relay has in Entra ID")
    parser.add_argument("--client", default=Target().client, help="the application id that the connector has there")
    parser.add_argument("--keys-only", action="store_true", help="users sign in with a key only, not with Entra ID")
    parser.add_argument("--to", type=Path, default=FOLDER, help="the folder to write to")
    chosen = parser.parse_args()
    chosen.to.mkdir(parents=True, exist_ok=True)
    target = Target(
        host=chosen.host,
        tenant=chosen.tenant,
        api=chosen.api,
        client=chosen.client,
        takes_keys_only=chosen.keys_only,
    )
    for name, text in contents(target).items():
        (chosen.to / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
