/**
 * Calls of the API as commands for a terminal. The key is a variable of the shell: no text to copy contains a key.
 */

/** Format a call as a curl command. `body` is sent as JSON. */
export function curl(path, { method = "GET", body } = {}) {
  const parts = ["curl -sS --fail-with-body", method !== "GET" && !body && `-X ${method}`, quoted(new URL(path, location.origin).href), '-H "Authorization: Bearer $RELAY_KEY"'];
  if (body) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return parts.filter(Boolean).join(" \\\n  ");
}

/** Quote a text for a POSIX shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
