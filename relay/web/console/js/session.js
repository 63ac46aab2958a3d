/**
 * The key of this tab, in session storage: it ends with the tab and never goes into a URL or a cookie.
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

/** Return whether App Service authentication (Microsoft Entra) is on. The server writes this into the page. */
export function hasEntra() {
  return document.querySelector('meta[name="relay-entra"]').content === "on";
}

export const assets = document.querySelector('meta[name="relay-assets"]').content;
