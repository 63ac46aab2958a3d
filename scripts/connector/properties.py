"""Generate the connector's properties: two ways to connect, and the operations behind its own paths."""

from typing import Any

from relay.api.operations import OPERATIONS
from scripts.connector.actions import ACTIONS, Action
from scripts.connector.document import Target

_OPERATIONS = {operation.name: operation for operation in OPERATIONS}


def properties(target: Target) -> dict[str, Any]:
    """Return the content of apiProperties.json: two ways to connect, and the operations behind the connector's own paths."""
    return {
        "properties": {
            "iconBrandColor": "#1F6FEB",
            "publisher": "Relay",
            "stackOwner": "Relay",
            "capabilities": ["actions", "triggers"],
            "connectionParameterSets": {
                "uiDefinition": {"displayName": "Authentication type", "description": "How Relay knows who calls."},
                "values": [_by_key(), *([] if target.takes_keys_only else [_by_entra(target)])],
            },
            "policyTemplateInstances": [_sends_key(), *(_leads(action) for action in ACTIONS if action.path)],
        }
    }


def _by_key() -> dict[str, Any]:
    text = "A key of a client of Relay."
    shown = {"displayName": "Key", "description": text, "tooltip": text}
    constraints = {"required": "true", "clearText": False, "tabIndex": 2}
    return {
        "name": "key",
        "uiDefinition": {"displayName": "Key", "description": "Connect with a key of a client."},
        "parameters": {"api_key": {"type": "securestring", "uiDefinition": {**shown, "constraints": constraints}}},
    }


def _by_entra(target: Target) -> dict[str, Any]:
    shown = {"displayName": "Sign in", "description": "A work account.", "constraints": {"required": "true"}}
    signs_in = {
        "identityProvider": "aad",
        "clientId": target.client,
        "scopes": [],
        "redirectMode": "GlobalPerConnector",
        "properties": {"IsFirstParty": "False", "AzureActiveDirectoryResourceId": f"api://{target.api}"},
        "customParameters": {
            "loginUri": {"value": "https://login.microsoftonline.com"},
            "tenantId": {"value": target.tenant},
            "resourceUri": {"value": f"api://{target.api}"},
        },
    }
    return {
        "name": "entra",
        "uiDefinition": {"displayName": "Microsoft Entra ID", "description": "Sign in with a work account."},
        "parameters": {"token": {"type": "oauthSetting", "oAuthSettings": signs_in, "uiDefinition": shown}},
    }


def _sends_key() -> dict[str, Any]:
    """Return the policy that sends the key: a connector with several ways to connect does not. Relay ignores an empty key."""
    return {
        "templateId": "setheader",
        "title": "Send the key",
        "parameters": {
            "x-ms-apimTemplateParameter.name": "x-api-key",
            "x-ms-apimTemplateParameter.value": "@connectionParameters('api_key','')",
            "x-ms-apimTemplateParameter.existsAction": "override",
            "x-ms-apimTemplate-policySection": "Request",
        },
    }


def _leads(action: Action) -> dict[str, Any]:
    operation = _OPERATIONS[action.operation]
    return {
        "templateId": "routerequesttoendpoint",
        "title": f"{action.summary}: where it leads",
        "parameters": {
            "x-ms-apimTemplate-operationName": [action.name],
            "x-ms-apimTemplateParameter.newPath": operation.path,
            "x-ms-apimTemplateParameter.httpMethod": operation.method,
        },
    }
