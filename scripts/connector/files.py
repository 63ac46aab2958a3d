"""Generate the connector's files as text."""

import json
from collections.abc import Mapping
from pathlib import Path

from scripts.connector.document import Target, definition
from scripts.connector.properties import properties

FOLDER = Path(__file__).parents[2] / "connector"


def contents(target: Target) -> Mapping[str, str]:
    """Return the text of each file, by name."""
    made = {"apiDefinition.swagger.json": definition(target), "apiProperties.json": properties(target)}
    return {name: json.dumps(value, indent=2) + "\n" for name, value in made.items()}
