/**
 * One template: its parts to be written, and how they look filled in.
 */

import { CallFailed, call, get } from "../api.js";
import { ask, field, showFaults } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { rendered } from "../mail.js";
import { card, failed, heading, list, loading, nothing } from "../parts.js";
import { act, tell } from "../told.js";
import { moment } from "../words.js";

export async function show({ room, one: name, signal, focusTitle }) {
  const path = `/v1/templates/${encodeURIComponent(name)}`;
  const place = h("div", {}, loading());
  const history = h("div", {}, loading());
  const remove = h("button", { type: "button", class: "danger hidden", on: { click: discard } }, "Delete");
  room.append(...heading(name, { actions: [remove], crumb: ["Templates", "#/templates"] }).filter(Boolean), place, history);
  focusTitle();
  const known = (await get("/v1/templates", signal)).value.some((each) => each.name === name);
  await load(known ? path : null);

  async function load(from) {
    try {
      const template = from === null ? { variables: {} } : await get(from, signal);
      redraw(place, editor(template));
      redraw(history, from === null ? null : await versions());
      remove.classList.toggle("hidden", from === null);
    } catch (error) {
      if (error.name !== "AbortError") redraw(place, failed(error, () => load(from)));
    }
  }

  function editor(template) {
    const area = (part, label, hint, lines) => field({ name: part, label, hint, lines, value: template[part] ?? "", class: "mono" });
    const fields = {
      subject: field({ name: "subject", label: "Subject", value: template.subject ?? "" }),
      text: area("text", "Text", null, 8),
      html: area("html", "Html", "Values are escaped. Jinja2: {{ name }}, {% if … %}, {% for … %}.", 12),
      description: field({ name: "description", label: "Description", value: template.description ?? "" }),
    };
    const variables = field({ name: "variables", label: "Variables, as JSON", lines: 8, class: "mono", value: JSON.stringify(examples(template.variables), null, 2), hint: "What a message would bring; nothing is sent." });
    const result = h("div", {}, nothing("Not filled in yet", "The preview is of the version that is saved."));
    const others = h("p", { class: "fault", role: "alert" });
    const save = h("button", { type: "submit", class: "primary" }, template.version ? `Save as version ${template.version + 1}` : "Save");
    const form = h("form", { class: "inside fields", novalidate: true }, Object.values(fields).map(({ element }) => element), h("div", { class: "field" }, others), h("div", { class: "actions" }, save));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const body = Object.fromEntries(Object.entries(fields).map(([part, each]) => [part, each.input.value]).filter(([, value]) => value));
        const kept = await call("PUT", path, { body: { ...body, variables: declared(template.variables) } });
        tell(`Version ${kept.version} is saved.`);
        await load(path);
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        others.textContent = showFaults(Object.values(fields), error);
      }
    });
    const fill = h("button", { type: "button", on: { click: ({ currentTarget }) => act(currentTarget, () => preview(variables, result)) }, disabled: !template.version }, "Fill in");
    return h("div", { class: "two-columns" },
      card(template.version ? `Version ${template.version}` : "A new template", form),
      card("Preview", h("div", { class: "inside fields" }, variables.element, h("div", { class: "actions" }, fill)), result));
  }

  async function preview(variables, result) {
    variables.clear();
    let value;
    try {
      value = JSON.parse(variables.read() || "{}");
    } catch {
      variables.fault("This is not JSON.");
      return null;
    }
    try {
      const told = await call("POST", `${path}/preview`, { body: { variables: value } });
      redraw(result, told.subject && h("p", { class: "mail-note" }, h("strong", {}, told.subject)), told.html_url ? rendered(told) : told.html && h("pre", {}, told.html), told.text && h("pre", { class: "inside" }, told.text));
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      const faults = error.details.map(({ message, target }) => `${target}: ${message}`).join(" ");
      variables.fault(faults || error.message);
    }
    return null;
  }

  async function versions() {
    const { value } = await get(`${path}/versions`, signal);
    const restore = ({ version }) => h("button", { type: "button", "aria-label": `Open version ${version}`, on: { click: () => load(`${path}@${version}`) } }, "Open");
    return card("Versions", list("Versions", [
      { name: "Version", cell: ({ version }) => `${name}@${version}` },
      { name: "Since", cell: ({ created_at: at }) => moment(at) },
      { name: "", kind: "tight", cell: (each) => h("div", { class: "actions" }, restore(each)) },
    ], value));
  }

  async function discard() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/templates";
      return `${name} is gone.`;
    };
    await ask({ title: `Delete ${name}?`, text: "With all its versions. Messages that were accepted with it keep what was filled in.", action: "Delete", isDanger: true, run });
  }
}

/** Something to begin with for each variable. */
function examples(variables) {
  return Object.fromEntries(Object.entries(variables).map(([name, { default: value }]) => [name, value ?? name]));
}

/** The variables as the API takes them: what has a default is not required. */
function declared(variables) {
  return Object.fromEntries(Object.entries(variables).filter(([, each]) => !each.required || each.description).map(([name, { required, ...rest }]) => [name, required ? { required, ...rest } : rest]));
}
