/**
 * Cards, tables, buttons, and the states of a list without rows: loading, empty, failed.
 */

import { copyText } from "./clipboard.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { runAction } from "./toasts.js";

/** Placeholder while something loads. */
export function loading(text = t("common.loading")) {
  return h("div", { class: "loading", role: "status" }, h("span", { class: "visually-hidden" }, text), h("i"), h("i"), h("i"), h("i"));
}

/** Placeholder for a list without rows. */
export function emptyState(title, text, ...more) {
  return h("div", { class: "empty-state" }, h("strong", {}, title), text && h("p", {}, text), more);
}

/** Placeholder after a failed call, with a button that calls `retry`. */
export function errorState(error, retry) {
  const button = retry && h("button", { type: "button", data: { key: "retry" }, on: { click: retry } }, t("common.tryAgain"));
  return h("div", { class: "empty-state failed", role: "alert" }, h("strong", {}, title(error)), h("p", {}, withCode(error.message)), button);
}

function title(error) {
  if (error.status === 0) return t("error.noConnection");
  if (error.status === 403) return t("error.notAllowed");
  if (error.status === 404) return t("error.notFound");
  return t("error.failed");
}

export function card(title, ...children) {
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, title)), children);
}

/** Title of a page with its actions. The title gets the focus when the page opens. */
export function heading(title, { actions = [], text = null, crumb = null } = {}) {
  return [
    crumb && h("a", { class: "crumb", href: crumb[1] }, `← ${crumb[0]}`),
    h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, title), actions.length ? h("div", { class: "actions" }, actions) : null, text && h("p", {}, text)),
  ];
}

/**
 * Make a table. `columns` are `{name, cell, kind}`: the heading, a function from a row to a cell's content, and a class for both.
 * On a narrow screen each cell shows its column's name.
 */
export function dataTable(caption, columns, rows) {
  const head = columns.map(({ name, kind = "" }) => h("th", { scope: "col", class: kind }, name || h("span", { class: "visually-hidden" }, t("common.actions"))));
  const body = rows.map((row) => h("tr", {}, columns.map(({ name, cell, kind = "" }) => h("td", { class: kind, data: { name } }, h("div", {}, cell(row))))));
  return h("table", { class: "list" }, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}

/** Make a button that runs an action and shows its result. `key` keeps the focus over a refresh. */
export function button(text, action, { kind = "", key = null, label = null, isOff = false } = {}) {
  const control = h("button", { type: "button", class: kind, data: { key }, "aria-label": label, disabled: isOff }, text);
  control.addEventListener("click", () => runAction(control, action));
  return control;
}

/** List names and values; empty values are left out. */
export function definitions(...pairs) {
  return h("dl", { class: "definitions" }, pairs.filter(([, value]) => value != null && value !== "" && !(Array.isArray(value) && value.length === 0)).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** Choose one of several values by buttons; calls `choose` with the value. */
export function segmented(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) =>
    h("button", { type: "button", "aria-pressed": String(value === chosen), data: { key: `choice-${value}` }, on: { click: () => choose(value) } }, text));
  return h("div", { class: "segmented", role: "group", "aria-label": label }, buttons);
}

/** Format a text of the server: parts between backticks become code. */
export function withCode(text) {
  return text.split("`").map((piece, at) => (at % 2 ? h("code", {}, piece) : piece));
}

/** Show a text with a button that copies it. */
export function copyable(text) {
  return h("span", {}, h("code", {}, text), " ", button(t("common.copy"), () => copyText(text), { kind: "quiet", label: t("common.copyText", { text }), key: `copy-${text}` }));
}
