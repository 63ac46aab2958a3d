"use strict";

// No validator badge: it would load from a third-party host.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reference", validatorUrl: null, deepLinking: true });
