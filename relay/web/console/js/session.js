/**
 * The key of this tab, in session storage: it ends with the tab, and never goes into a request's URL or a cookie.
 */

const NAME = "relay-key";

export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

export function saveKey(text) {
  sessionStorage.setItem(NAME, text);
}

export function clearKey() {
  sessionStorage.removeItem(NAME);
}

/**
 * Take the key from an address such as `/console#key=…`, as `make run` prints it, and remove it from the address and the history.
 * A browser does not send what stands behind the `#`.
 */
export function takeKeyFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("key");
  if (found === null) return;
  saveKey(found);
  history.replaceState(null, "", location.pathname);
}

/** Return whether App Service authentication (Microsoft Entra) is on. The server writes this into the page. */
export function hasEntra() {
  return document.querySelector('meta[name="relay-entra"]').content === "on";
}

export const assets = document.querySelector('meta[name="relay-assets"]').content;
