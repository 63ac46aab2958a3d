/**
 * Modal dialogs and form fields. The browser's own dialog keeps the focus inside, and Escape cancels.
 */

import { CallFailed } from "./api.js";
import { copyText } from "./clipboard.js";
import { withCode } from "./components.js";
import { h, newId } from "./dom.js";
import { t } from "./i18n.js";
import { toast } from "./toasts.js";

/** Open a dialog that calls `run` on submit; `moreActions` are further buttons. Resolves to true if `run` succeeded; shows its error in the dialog otherwise. */
export function openDialog({ title, text = null, action, isDanger = false, run, fields = [], moreActions = [] }) {
  return new Promise((resolve) => {
    const name = newId();
    const others = h("p", { class: "error hidden", role: "alert" });
    const submit = h("button", { type: "submit", class: isDanger ? "danger" : "primary" }, action);
    const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, t("common.cancel"));
    const body = fields.map((field) => field.element);
    const form = h("form", { novalidate: true }, h("h2", { id: name }, title), text && h("p", { class: "muted" }, text), body, h("div", { class: "field" }, others), h("div", { class: "actions" }, moreActions, cancel, submit));
    const dialog = h("dialog", { "aria-labelledby": name }, form);
    let isDone = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (submit.getAttribute("aria-busy") === "true") return;
      submit.setAttribute("aria-busy", "true");
      try {
        const text = await run();
        isDone = true;
        dialog.close();
        if (text) toast(text);
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        others.textContent = showErrors(fields, error);
        others.classList.toggle("hidden", !others.textContent);
        form.querySelector('[aria-invalid="true"]')?.focus();
      } finally {
        submit.removeAttribute("aria-busy");
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isDone);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Make a group of checkboxes; `read` returns the checked values. */
export function checkboxGroup({ name, label, hint = null, options, chosen = [] }) {
  const boxes = options.map(([value, text]) => {
    const id = newId();
    const box = h("input", { type: "checkbox", id, value, checked: chosen.includes(value) });
    return { box, element: h("span", { class: "choice" }, box, h("label", { for: id }, text)) };
  });
  const id = newId();
  const element = h("div", { class: "field", role: "group", "aria-labelledby": id }, h("span", { class: "label", id }, label), h("div", { class: "choices" }, boxes.map((each) => each.element)), hint && h("p", { class: "hint" }, hint));
  const noop = () => {};
  return { name, element, read: () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value), clear: noop, showError: noop };
}

/** Show a secret that Relay shows only once, such as a new key. */
export function showSecret({ title, text, secret }) {
  const name = newId();
  const done = h("button", { type: "button", class: "primary", on: { click: () => dialog.close() } }, t("common.done"));
  const copy = h("button", { type: "button", on: { click: async () => { note.textContent = await copyText(secret); } } }, t("common.copy"));
  const note = h("p", { class: "muted", role: "status" });
  const dialog = h("dialog", { "aria-labelledby": name }, h("form", {}, h("h2", { id: name }, title), h("p", { class: "muted" }, text), h("code", { class: "secret", tabindex: "0" }, secret), h("div", { class: "actions" }, note, copy, done)));
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Show each error of a failed call at its field. Returns the errors that belong to no field, as one text. */
export function showErrors(fields, error) {
  const others = [];
  for (const field of fields) field.clear();
  for (const { target, message } of error.details) {
    const field = fields.find(({ name }) => target === name || target.startsWith(`${name}[`) || target.startsWith(`${name}.`));
    if (field) field.showError(message);
    else others.push(message);
  }
  if (!error.details.length) others.push(error.message);
  return others.join(" ");
}

/** Make a labeled field. `name` is its JSON path in the API, `read` returns its value; with `lines` it is a text area, `items` returns its lines. */
export function field({ name, label, hint = null, value = "", type = "text", options = null, lines = 0, ...more }) {
  const id = newId();
  const hintId = `${id}-hint`;
  const errorId = `${id}-error`;
  const common = { id, name, "aria-describedby": `${hint ? hintId : ""} ${errorId}`.trim(), autocomplete: "off", spellcheck: "false", ...more };
  const input = options
    ? h("select", common, options.map(([each, text]) => h("option", { value: each, selected: each === value }, text)))
    : lines
      ? h("textarea", { ...common, rows: String(lines), value })
      : h("input", { ...common, type, value });
  const error = h("p", { class: "error", id: errorId });
  const clear = () => {
    error.textContent = "";
    input.removeAttribute("aria-invalid");
  };
  // An edited value has not been checked yet.
  input.addEventListener("input", clear);
  const element = h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: hintId }, hint), error);
  return {
    name,
    element,
    input,
    read: () => input.value.trim(),
    items: () => input.value.split(/[\n,]/).map((each) => each.trim()).filter(Boolean),
    clear,
    showError(text) {
      error.append(error.textContent ? " " : "", ...withCode(text));
      input.setAttribute("aria-invalid", "true");
    },
  };
}
