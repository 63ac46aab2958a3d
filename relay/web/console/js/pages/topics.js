/**
 * Topics of a client: what recipients can unsubscribe from.
 */

import { call, CallFailed, get } from "../api.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { moment } from "../format.js";
import { t } from "../i18n.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";

const NAME = /^[a-z0-9][a-z0-9_.-]{0,63}$/;
/** The roles that may send, and so have topics. */
const SENDERS = ["client", "operator"];
/** The languages that the dialog offers; texts in others stay as they are. */
const LANGUAGES = { en: t("topics.english"), ja: t("topics.japanese") };

export async function show({ main, query, me, signal, focusTitle }) {
  const senders = may("ListClients") ? (await get("/v1/clients", signal)).value.filter(({ role }) => SENDERS.includes(role)) : [];
  const client = query.get("client") ?? (senders.find(({ role }) => role === "client") ?? me).name;
  const clients = [...new Set([...senders.map(({ name }) => name), client])];
  const path = (name = "") => `/v1/topics${name && `/${encodeURIComponent(name)}`}?client=${encodeURIComponent(client)}`;
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: () => edit(null) } }, t("topics.new"));
  main.append(...heading(t("page.topics"), { actions: [add], text: t("topics.text") }).filter(Boolean), h("div", { class: "card" }, may("ListClients") && ownerForm(clients, client), place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => get(path(), signal),
    draw({ value }) {
      loaded = value;
      redraw(place, value.length ? table(value) : emptyState(t("topics.none"), t("topics.noneText")));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });

  function table(rows) {
    const action = (key, text, label, run) => h("button", { type: "button", "aria-label": label, data: { key }, on: { click: run } }, text);
    return dataTable(t("page.topics"), [
      { name: t("field.name"), cell: ({ name }) => h("span", { class: "wide" }, name) },
      { name: t("topics.titles"), cell: ({ titles }) => Object.entries(titles).map(([language, text]) => h("div", {}, text, h("span", { class: "muted small" }, ` ${language}`))) },
      { name: t("topics.group"), kind: "number", cell: ({ sendgrid_group_id: group }) => (group ? String(group) : "–") },
      { name: t("field.created"), kind: "tight", cell: ({ created_at: at }) => moment(at) },
      { name: "", kind: "tight", cell: (topic) => h("div", { class: "actions" }, action(`edit-${topic.name}`, t("common.edit"), t("topics.editTitle", topic), () => edit(topic)), action(`delete-${topic.name}`, t("common.delete"), t("common.deleteTitle", topic), () => remove(topic))) },
    ], rows);
  }

  async function edit(topic) {
    const name = topic === null && field({ name: "name", label: t("field.name"), hint: t("topics.nameHint"), required: true });
    const texts = (part, labelOf, lines = 0) => Object.entries(LANGUAGES).map(([language, text]) => field({ name: `${part}.${language}`, label: labelOf(text), value: topic?.[part][language] ?? "", lines }));
    const titles = texts("titles", (language) => t("topics.title", { language }));
    const descriptions = texts("descriptions", (language) => t("topics.description", { language }), 2);
    const group = field({ name: "sendgrid_group_id", label: t("topics.group"), type: "number", min: "1", value: String(topic?.sendgrid_group_id ?? ""), hint: t("topics.groupHint") });
    const run = async () => {
      const chosen = topic?.name ?? name.read();
      if (!NAME.test(chosen)) throw new CallFailed({ status: 0, code: "invalid_value", message: t("topics.badName") });
      const body = { titles: merged(topic?.titles, titles), descriptions: merged(topic?.descriptions, descriptions), ...(group.read() && { sendgrid_group_id: Number(group.read()) }) };
      await call("PUT", path(chosen), { body });
      refresh();
      return t("topics.saved", { name: chosen });
    };
    await openDialog({ title: topic === null ? t("topics.new") : t("topics.editTitle", topic), action: t("common.save"), fields: [name, ...titles, ...descriptions, group].filter(Boolean), run });
  }

  async function remove({ name }) {
    const run = async () => {
      await call("DELETE", path(name));
      refresh();
      return t("common.wasDeleted", { name });
    };
    await openDialog({ title: t("common.deleteTitle", { name }), text: t("topics.deleteText"), action: t("common.delete"), isDanger: true, run });
  }
}

/** Make the form that selects the client. */
function ownerForm(clients, client) {
  const owner = field({ name: "client", label: t("field.client"), options: clients.map((each) => [each, each]), value: client });
  owner.input.addEventListener("change", () => { location.hash = `#/topics?client=${encodeURIComponent(owner.read())}`; });
  return h("form", { class: "search" }, owner.element);
}

/** Return the texts of the fields, and what there is in other languages. */
function merged(known = {}, fields) {
  const others = Object.entries(known).filter(([language]) => !Object.hasOwn(LANGUAGES, language));
  const own = fields.map((each) => [each.name.split(".")[1], each.read()]).filter(([, text]) => text);
  return Object.fromEntries([...others, ...own]);
}
