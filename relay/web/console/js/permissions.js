/**
 * What the role of the signed-in client may call. It decides what the pages show; the API checks every call.
 */

let operations = new Set();

/** Take the names of the operations, as `GET /v1/me` lists them. */
export function setPermitted(names) {
  operations = new Set(names);
}

export function may(operation) {
  return operations.has(operation);
}
