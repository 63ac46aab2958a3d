/**
 * Questions before something is done. The browser's own dialog keeps the focus inside, and Escape means no.
 */

import { CallFailed } from "./api.js";
import { h, newId } from "./dom.js";
import { prose } from "./parts.js";
import { tell } from "./told.js";

/** Ask, and do it: resolves to true when it was done. A failure is shown in the dialog, which stays. */
export function ask({ title, text = null, action, isDanger = false, run, fields = [] }) {
  return new Promise((resolve) => {
    const name = newId();
    const faults = h("p", { class: "fault hidden", role: "alert" });
    const submit = h("button", { type: "submit", class: isDanger ? "danger" : "primary" }, action);
    const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
    const body = fields.map((field) => field.element);
    const form = h("form", { novalidate: true }, h("h2", { id: name }, title), text && h("p", { class: "muted" }, text), body, h("div", { class: "field" }, faults), h("div", { class: "actions" }, cancel, submit));
    const dialog = h("dialog", { "aria-labelledby": name }, form);
    let isDone = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (submit.getAttribute("aria-busy") === "true") return;
      submit.setAttribute("aria-busy", "true");
      try {
        const told = await run();
        isDone = true;
        dialog.close();
        if (told) tell(told);
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        faults.textContent = showFaults(fields, error);
        faults.classList.toggle("hidden", !faults.textContent);
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

/** A field of which several may be chosen; `read` gives the chosen values. */
export function several({ name, label, hint = null, options, chosen = [] }) {
  const boxes = options.map(([value, text]) => {
    const id = newId();
    const box = h("input", { type: "checkbox", id, value, checked: chosen.includes(value) });
    return { box, element: h("span", { class: "choice" }, box, h("label", { for: id }, text)) };
  });
  const id = newId();
  const element = h("div", { class: "field", role: "group", "aria-labelledby": id }, h("span", { class: "label", id }, label), h("div", { class: "choices" }, boxes.map((each) => each.element)), hint && h("p", { class: "hint" }, hint));
  const nothing = () => {};
  return { name, element, read: () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value), clear: nothing, fault: nothing };
}

/** Show something that is there only once, such as a new key. */
export function show({ title, text, secret }) {
  const name = newId();
  const done = h("button", { type: "button", class: "primary", on: { click: () => dialog.close() } }, "Done");
  const copy = h("button", { type: "button", on: { click: () => navigator.clipboard.writeText(secret).then(() => tell("Copied.")) } }, "Copy");
  const dialog = h("dialog", { "aria-labelledby": name }, h("form", {}, h("h2", { id: name }, title), h("p", { class: "muted" }, text), h("code", { class: "secret", tabindex: "0" }, secret), h("div", { class: "actions" }, copy, done)));
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Put each fault of an answer to the field it is about; what belongs to none, or the whole message, is returned. */
export function showFaults(fields, error) {
  const others = [];
  for (const field of fields) field.clear();
  for (const { target, message } of error.details) {
    const field = fields.find(({ name }) => target === name || target.startsWith(`${name}[`) || target.startsWith(`${name}.`));
    if (field) field.fault(message);
    else others.push(message);
  }
  if (!error.details.length) others.push(error.message);
  return others.join(" ");
}

/** A labelled field. `name` is its JSON path in the API, `read` its value, `lines` makes it a list with an item a line. */
export function field({ name, label, hint = null, value = "", type = "text", options = null, lines = 0, ...more }) {
  const id = newId();
  const hintId = `${id}-hint`;
  const faultId = `${id}-fault`;
  const common = { id, name, "aria-describedby": `${hint ? hintId : ""} ${faultId}`.trim(), autocomplete: "off", spellcheck: "false", ...more };
  const input = options
    ? h("select", common, options.map(([each, text]) => h("option", { value: each, selected: each === value }, text)))
    : lines
      ? h("textarea", { ...common, rows: String(lines), value })
      : h("input", { ...common, type, value });
  const fault = h("p", { class: "fault", id: faultId });
  const clear = () => {
    fault.textContent = "";
    input.removeAttribute("aria-invalid");
  };
  // What is changed is not known to be wrong any more.
  input.addEventListener("input", clear);
  const element = h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: hintId }, hint), fault);
  return {
    name,
    element,
    input,
    read: () => input.value.trim(),
    items: () => input.value.split(/[\n,]/).map((each) => each.trim()).filter(Boolean),
    clear,
    fault(text) {
      fault.append(fault.textContent ? " " : "", ...prose(text));
      input.setAttribute("aria-invalid", "true");
    },
  };
}
