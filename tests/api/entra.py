"""People and applications that App Service authentication vouches for."""

import base64
import json
from collections.abc import Mapping

TENANT = "0f4c9a3e-7b1d-4f57-8f0e-3f6d2c1b9a77"
PERSON = "5b1f0c52-2a3f-4b86-9d7c-6f1f7c0a9e11"
DESK = "c7d1a7a0-54a6-4a2e-8d0a-2f5a0a4c9b21"
ROLES = {
    "WEBSITE_AUTH_ENABLED": "true",
    "RELAY_ENTRA_TENANTS": TENANT,
    "RELAY_ENTRA_ROLES": json.dumps(
        {"Relay.Operator": "operator", "Relay.Viewer": "viewer", "Relay.Auditor": "auditor", DESK: "support"}
    ),
}
"""An environment in which app roles and a group have roles."""


def person(*claims: tuple[str, str], tenant: str = TENANT, oid: str = PERSON) -> Mapping[str, str]:
    """Return the header for a person whose token has these claims too, under the names that App Service gives them."""
    own = (("http://schemas.microsoft.com/identity/claims/objectidentifier", oid), ("tid", tenant))
    encoded = [{"typ": name, "val": value} for name, value in (*own, *claims) if value]
    packed = base64.b64encode(json.dumps({"auth_typ": "aad", "claims": encoded}).encode()).decode()
    return {"X-MS-CLIENT-PRINCIPAL": packed}
