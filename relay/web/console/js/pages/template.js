/**
 * One template: editor, preview, versions.
 */

import { call, CallFailed, get } from "../api.js";
import { card, dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog, showErrors } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { moment } from "../format.js";
import { t } from "../i18n.js";
import { htmlFrame } from "../mail-view.js";
import { may } from "../permissions.js";
import { runAction, toast } from "../toasts.js";
import { sendTest } from "./send-test.js";

export async function show({ main, one: name, signal, focusTitle }) {
  const path = `/v1/templates/${encodeURIComponent(name)}`;
  const place = h("div", {}, loading());
  const history = h("div", {}, loading());
  const remove = h("button", { type: "button", class: "danger hidden", on: { click: deleteTemplate } }, t("common.delete"));
  main.append(...heading(name, { actions: [remove], crumb: [t("page.templates"), "#/templates"] }).filter(Boolean), place, history);
  focusTitle();
  const exists = (await get("/v1/templates", signal)).value.some((each) => each.name === name);
  await load(exists ? path : null);

  async function load(from) {
    try {
      const template = from === null ? { variables: {} } : await get(from, signal);
      redraw(place, editor(template));
      redraw(history, from === null ? null : await versions());
      remove.classList.toggle("hidden", from === null);
    } catch (error) {
      if (error.name !== "AbortError") redraw(place, errorState(error, () => load(from)));
    }
  }

  function editor(template) {
    const area = (part, label, hint, lines) => field({ name: part, label, hint, lines, value: template[part] ?? "", class: "mono" });
    const hintOf = (kind) => (kind === "handlebars" ? t("template.handlebars") : t("template.html"));
    const kind = field({ name: "kind", label: t("template.kind"), options: [["jinja2", "Jinja2"], ["handlebars", "Handlebars"]] });
    const fields = {
      // A template keeps its language.
      ...(!template.version && { kind }),
      subject: field({ name: "subject", label: t("field.subject"), value: template.subject ?? "" }),
      text: area("text", t("field.text"), null, 8),
      html: area("html", t("field.html"), hintOf(template.kind), 12),
      description: field({ name: "description", label: t("field.description"), value: template.description ?? "" }),
    };
    kind.input.addEventListener("change", () => { fields.html.element.querySelector(".hint").textContent = hintOf(kind.read()); });
    const variables = field({ name: "variables", label: t("template.variables"), lines: 8, class: "mono", value: JSON.stringify(template.test_data ?? examples(template.variables), null, 2), hint: t("template.variablesHint") });
    const result = h("div", {}, emptyState(t("template.noPreview"), t("template.noPreviewText")));
    const others = h("p", { class: "error", role: "alert" });
    const save = h("button", { type: "submit", class: "primary" }, template.version ? t("template.saveAs", { version: template.version + 1 }) : t("common.save"));
    const form = h("form", { class: "inside fields", novalidate: true }, Object.values(fields).map(({ element }) => element), h("div", { class: "field" }, others), h("div", { class: "actions" }, save));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (save.getAttribute("aria-busy") === "true") return;
      save.setAttribute("aria-busy", "true");
      try {
        const body = Object.fromEntries(Object.entries(fields).map(([part, each]) => [part, each.input.value]).filter(([, value]) => value));
        const saved = await call("PUT", path, { body: { ...kept(template), ...body, variables: declared(template.variables) } });
        // The editor is drawn again: what is typed after the message must not be lost.
        await load(path);
        toast(t("template.saved", { version: saved.version }));
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        others.textContent = showErrors(Object.values(fields), error);
        form.querySelector('[aria-invalid="true"]')?.focus();
      } finally {
        save.removeAttribute("aria-busy");
      }
    });
    const previewButton = h("button", { type: "button", on: { click: ({ currentTarget }) => runAction(currentTarget, () => showPreview(variables, result)) }, disabled: !template.version }, t("template.preview"));
    const sendButton = h("button", { type: "button", on: { click: () => sendSaved(variables) }, disabled: !template.version }, t("template.sendMe"));
    return h("div", { class: "two-columns" },
      card(template.version ? t("template.version", { version: template.version }) : t("templates.new"), form),
      card(t("template.preview"), h("div", { class: "inside fields" }, variables.element, h("div", { class: "actions" }, previewButton, may("SendMessage") && sendButton)), result));
  }

  /** Send the saved version with these variables to an address of the operator's choice. */
  async function sendSaved(variables) {
    const value = parsed(variables);
    if (value !== null) await sendTest({ template: name, variables: value });
  }

  async function showPreview(variables, result) {
    const value = parsed(variables);
    if (value === null) return null;
    try {
      const preview = await call("POST", `${path}/preview`, { body: { variables: value } });
      redraw(result, preview.subject && h("p", { class: "mail-note" }, h("strong", {}, preview.subject)), preview.html_url ? htmlFrame(preview) : preview.html && h("pre", {}, preview.html), preview.text && h("pre", { class: "inside" }, preview.text));
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      const errors = error.details.map(({ message, target }) => `${target}: ${message}`).join(" ");
      variables.showError(errors || error.message);
    }
    return null;
  }

  async function versions() {
    const { value } = await get(`${path}/versions`, signal);
    const openVersion = ({ version }) => h("button", { type: "button", "aria-label": t("template.openVersion", { version }), on: { click: () => load(`${path}@${version}`) } }, t("template.open"));
    return card(t("template.versions"), dataTable(t("template.versions"), [
      { name: t("field.version"), cell: ({ version }) => `${name}@${version}` },
      { name: t("field.since"), cell: ({ created_at: at }) => moment(at) },
      { name: "", kind: "tight", cell: (each) => h("div", { class: "actions" }, openVersion(each)) },
    ], value));
  }

  async function deleteTemplate() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/templates";
      return t("common.wasDeleted", { name });
    };
    await openDialog({ title: t("common.deleteTitle", { name }), text: t("template.deleteText"), action: t("common.delete"), isDanger: true, run });
  }
}

/** Return what the editor does not show and a new version keeps. */
function kept({ kind, locale, translations, test_data }) {
  return { kind, locale, translations, test_data };
}

/** Return the variables, or null after showing that they are not valid JSON. */
function parsed(variables) {
  variables.clear();
  try {
    return JSON.parse(variables.read() || "{}");
  } catch {
    variables.showError(t("template.badJson"));
    return null;
  }
}

/** Return an example value for each variable. */
function examples(variables) {
  return Object.fromEntries(Object.entries(variables).map(([name, { default: value }]) => [name, value ?? name]));
}

/** Convert the variables to the form that PUT accepts: one with a default is not required. */
function declared(variables) {
  return Object.fromEntries(Object.entries(variables).filter(([, each]) => !each.required || each.description).map(([name, { required, ...rest }]) => [name, required ? { required, ...rest } : rest]));
}
