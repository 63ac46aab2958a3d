/**
 * What was done, told in a corner and read out by screen readers.
 */

import { h } from "./dom.js";

const SHOWN_SECONDS = 7;

export function tell(text, { isBad = false } = {}) {
  const place = document.getElementById("told");
  const close = h("button", { class: "quiet", type: "button", "aria-label": "Dismiss", on: { click: () => note.remove() } }, "×");
  const note = h("p", { class: isBad ? "bad" : "" }, h("span", {}, text), close);
  place.append(note);
  // What went wrong stays until it is read; the rest goes by itself, but not under the pointer or the focus.
  const leave = () => (note.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : note.remove());
  if (!isBad) setTimeout(leave, SHOWN_SECONDS * 1000);
}

/** Run an action of a button: busy meanwhile, its result told, its failure too. Returns whether it went well. */
export async function act(button, action) {
  if (button.getAttribute("aria-busy") === "true") return false;
  button.setAttribute("aria-busy", "true");
  try {
    const text = await action();
    if (text) tell(text);
    return true;
  } catch (error) {
    tell(error.message, { isBad: true });
    return false;
  } finally {
    button.removeAttribute("aria-busy");
  }
}
