/**
 * Who is signed in. The key lives in this tab's session storage: it goes with the tab, into no address and no cookie.
 */

const NAME = "relay-key";

export function key() {
  return sessionStorage.getItem(NAME) ?? "";
}

export function keep(text) {
  sessionStorage.setItem(NAME, text);
}

export function forget() {
  sessionStorage.removeItem(NAME);
}

/** Whether people of this relay sign in with Microsoft Entra, as the page was told. */
export function hasEntra() {
  return document.querySelector('meta[name="relay-entra"]').content === "on";
}

export const assets = document.querySelector('meta[name="relay-assets"]').content;
