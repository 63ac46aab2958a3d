"use strict";

// No validator: that badge would ask a foreign host.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reference", validatorUrl: null, deepLinking: true });
