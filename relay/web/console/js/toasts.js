/**
 * Short messages in a corner, read out by screen readers.
 */

import { h } from "./dom.js";
import { t } from "./i18n.js";

const SHOWN_SECONDS = 7;

/** Show a message. Errors stay until dismissed. */
export function toast(text, { isBad = false } = {}) {
  const place = document.getElementById("toasts");
  const close = h("button", { class: "quiet", type: "button", "aria-label": t("common.dismiss"), on: { click: () => note.remove() } }, "×");
  const note = h("p", { class: isBad ? "bad" : "" }, h("span", {}, text), close);
  place.append(note);
  // Not removed while the pointer or the focus is on it.
  const leave = () => (note.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : note.remove());
  if (!isBad) setTimeout(leave, SHOWN_SECONDS * 1000);
}

/** Run a button's action: mark the button busy, then show the action's result or error. Returns whether it succeeded. */
export async function runAction(button, action) {
  if (button.getAttribute("aria-busy") === "true") return false;
  button.setAttribute("aria-busy", "true");
  try {
    const text = await action();
    if (text) toast(text);
    return true;
  } catch (error) {
    // Aborted: the page was left before the response came.
    if (error.name !== "AbortError") toast(error.message, { isBad: true });
    return false;
  } finally {
    button.removeAttribute("aria-busy");
  }
}
