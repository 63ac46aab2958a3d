"""Map the app roles and groups of a person to a role.

App roles match the claim `roles` by their value, and groups the claim `groups` by their object id. The two are never mixed: a
token can be configured to contain group names, which anyone who may create a group can choose.
Source: learn.microsoft.com/entra/identity-platform/optional-claims (group claims, `sam_account_name`, `cloud_displayname`).
"""

import re
from collections.abc import Mapping

from relay.api.entra.principal import EntraCaller
from relay.clients.keys import Role
from relay.core.errors import Refusal

GROUP = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The object id of a group, in lower case."""
RANK = (Role.OPERATOR, Role.SUPPORT, Role.VIEWER, Role.AUDITOR)
"""Roles of people, the highest first. Support may do everything that a viewer may, and operators everything."""


def role_of(caller: EntraCaller, roles: Mapping[str, Role]) -> Role:
    """Return the highest role of a person's app roles and groups. Raises `Refusal` (403) if they have none."""
    found = {
        role
        for name, role in roles.items()
        if (name.lower() in caller.groups if GROUP.fullmatch(name.lower()) else name in caller.app_roles)
    }
    for role in RANK:
        if role in found:
            return role
    if caller.has_too_many_groups and any(GROUP.fullmatch(name.lower()) for name in roles):
        text = (
            "You are in more groups than a token lists, so Relay cannot see which ones. Ask an administrator for an app role of "
            "Relay's registration in Microsoft Entra instead: assign it to you or to your group."
        )
        raise Refusal(403, "too_many_groups", text)
    text = (
        "You are signed in with Microsoft Entra, but none of your app roles and groups has a role in Relay. Ask an "
        "administrator for one (setting RELAY_ENTRA_ROLES), then sign in again."
    )
    raise Refusal(403, "no_role", text)
