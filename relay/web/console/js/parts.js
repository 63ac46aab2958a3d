/**
 * Lists, cards, and the three states that every list has besides its rows: nothing yet, nothing there, not to be had.
 */

import { h } from "./dom.js";
import { act } from "./told.js";

export function loading(text = "Loading") {
  return h("div", { class: "loading", role: "status" }, h("span", { class: "unseen" }, text), h("i"), h("i"), h("i"), h("i"));
}

export function nothing(title, text, ...more) {
  return h("div", { class: "nothing" }, h("strong", {}, title), text && h("p", {}, text), more);
}

export function failed(error, retry) {
  const again = retry && h("button", { type: "button", data: { key: "retry" }, on: { click: retry } }, "Try again");
  return h("div", { class: "nothing failed", role: "alert" }, h("strong", {}, title(error)), h("p", {}, error.message), again);
}

function title(error) {
  if (error.status === 0) return "No connection";
  if (error.status === 403) return "Not for this key";
  if (error.status === 404) return "Not found";
  return "This did not work";
}

export function card(title, ...children) {
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, title)), children);
}

/** A heading with what can be done there. The title gets the focus when a page opens. */
export function heading(title, { actions = [], text = null, crumb = null } = {}) {
  return [
    crumb && h("a", { class: "crumb", href: crumb[1] }, `← ${crumb[0]}`),
    h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, title), actions.length ? h("div", { class: "actions" }, actions) : null, text && h("p", {}, text)),
  ];
}

/**
 * A table. `columns` are `{name, cell, kind}`: the heading, what makes a cell's content of a row, and a class for both.
 * On a narrow screen each cell carries its column's name.
 */
export function list(caption, columns, rows) {
  const head = columns.map(({ name, kind = "" }) => h("th", { scope: "col", class: kind }, name || h("span", { class: "unseen" }, "Actions")));
  const body = rows.map((row) => h("tr", {}, columns.map(({ name, cell, kind = "" }) => h("td", { class: kind, data: { name } }, h("div", {}, cell(row))))));
  return h("table", { class: "list" }, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}

/** A button that does something and says so. `key` keeps the focus over a refresh. */
export function button(text, action, { kind = "", key = null, label = null, isOff = false } = {}) {
  const made = h("button", { type: "button", class: kind, data: { key }, "aria-label": label, disabled: isOff }, text);
  made.addEventListener("click", () => act(made, action));
  return made;
}

/** Names and values; a value that is null is left out. */
export function facts(...pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value != null && value !== "" && !(Array.isArray(value) && value.length === 0)).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** One of several, as buttons; `choose` gets the chosen value. */
export function choices(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) =>
    h("button", { type: "button", "aria-pressed": String(value === chosen), data: { key: `choice-${value}` }, on: { click: () => choose(value) } }, text));
  return h("div", { class: "switch", role: "group", "aria-label": label }, buttons);
}

/** A sentence of the server's, in which what stands between backticks is to be typed. */
export function prose(text) {
  return text.split("`").map((piece, at) => (at % 2 ? h("code", {}, piece) : piece));
}

/** Text that is copied by a press. */
export function copied(text) {
  return h("span", {}, h("code", {}, text), " ", button("Copy", async () => {
    await navigator.clipboard.writeText(text);
    return "Copied.";
  }, { kind: "quiet", label: `Copy ${text}`, key: `copy-${text}` }));
}
