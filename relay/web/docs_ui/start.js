"use strict";

// An address such as /docs#key=…, as `make run` prints it, signs in. The key stays in this page.
const key = new URLSearchParams(location.hash.slice(1)).get("key");
if (key !== null) history.replaceState(null, "", location.pathname);

// No validator badge: it would load from a third-party host.
const ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  validatorUrl: null,
  deepLinking: true,
  onComplete: () => key !== null && ui.preauthorizeApiKey("key", key),
});
