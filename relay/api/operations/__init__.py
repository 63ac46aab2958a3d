"""Every operation of the API, with a module for each tag. Routing, the OpenAPI document and the connector are made from them.

The order here is the order of the tags in the document.
"""

from relay.api.operation import Operations

OPERATIONS = Operations(
    {
        "/v1/messages": "relay.api.operations.messages",
        "/v1/attachments": "relay.api.operations.attachments",
        "/v1/templates": "relay.api.operations.templates",
        "/v1/suppressions": "relay.api.operations.suppressions",
        "/v1/topics": "relay.api.operations.suppressions",
        "/v1/webhooks": "relay.api.operations.webhooks",
        "/v1/inbox": "relay.api.operations.inbox",
        "/v1/deadletters": "relay.api.operations.recovery",
        "/v1/causes": "relay.api.operations.recovery",
        "/v1/redrive": "relay.api.operations.recovery",
        "/v1/erase": "relay.api.operations.recovery",
        "/v1/routes": "relay.api.operations.routes",
        "/v1/pause": "relay.api.operations.routes",
        "/v1/resume": "relay.api.operations.routes",
        "/v1/clients": "relay.api.operations.clients",
        "/v1/events": "relay.api.operations.events",
        "/v3": "relay.api.operations.sendgrid",
        "/v1/overview": "relay.api.operations.system",
        "/v1/arrivals": "relay.api.operations.system",
        "/v1/timers": "relay.api.operations.system",
        "/v1/audit": "relay.api.operations.system",
        "/v1/doctor": "relay.api.operations.system",
        "/v1/me": "relay.api.operations.system",
        "/v1/health": "relay.api.operations.system",
        "/v1/ready": "relay.api.operations.system",
        "/openapi.json": "relay.api.operations.system",
        "/": "relay.api.pages.operations",
        "/favicon.ico": "relay.api.pages.operations",
        "/console": "relay.api.pages.operations",
        "/inbox": "relay.api.pages.operations",
        "/docs": "relay.api.pages.operations",
        "/unsubscribe": "relay.api.pages.unsubscribe",
    }
)
