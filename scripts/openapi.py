"""`python -m scripts.openapi`: print the OpenAPI document, as GET /openapi.json of a relay returns it."""

import json
import sys

from relay.api.openapi.document import document
from relay.api.operations import OPERATIONS

if __name__ == "__main__":
    json.dump(document("https://relay.contoso.com", OPERATIONS.tags()), sys.stdout, indent=2)
