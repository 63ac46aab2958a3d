/**
 * List of messages, newest first. The filters are in the URL, so that a search can be bookmarked and shared.
 */

import { downloadPages, get, localPath } from "../api.js";
import { copyText } from "../clipboard.js";
import { button, dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { curl } from "../curl.js";
import { field } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { arrivalBadge, breakable, byteSize, humanize, mailbox, moment } from "../format.js";
import { t } from "../i18n.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";
import { sendTest } from "./send-test.js";
import { saveFile } from "../save-file.js";

const STATES = ["scheduled", "queued", "sending", "deferred", "held", "sent", "failed", "expired", "cancelled", "unknown"];
const AGES = [["3600", t("messages.lastHour")], ["", t("messages.lastDay")], ["604800", t("messages.lastWeek")], ["2592000", t("messages.last30Days")]];
const ARRIVALS = ["delivered", "awaited", "not_reported", "suppressed", "bounced", "complained"];
const FILTERS = ["recipient", "from", "subject", "state", "arrival", "client", "tag", "metadata"];
const FIRST_MESSAGE = curl("/v1/messages", { method: "POST", body: { from: "shop@example.com", to: "you@example.com", subject: "Hello", text: "It works." } });
const ID = /^msg_[0-9a-v]{40}$/;

export async function show({ main, query, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const save = button(t("messages.export"), () => exportCsv(query, signal), { key: "export" });
  const copy = button(t("common.copyCurl"), () => copyText(curl(`/v1/messages?${apiQuery(query)}`)), { key: "curl" });
  main.append(...heading(t("page.messages"), { actions: [testButton(), save, copy].filter(Boolean) }).filter(Boolean), h("div", { class: "card" }, searchForm(query), place));
  focusTitle();
  let rows = null;
  let next = null;
  let isExtended = false;
  const refresh = poll({
    signal,
    seconds: 5,
    load: () => (isExtended ? Promise.resolve({ value: rows, next_link: next }) : get(`/v1/messages?${apiQuery(query)}`, signal)),
    draw({ value, next_link: link }) {
      rows = value;
      next = link ?? null;
      draw();
    },
    fail: (error) => rows === null && redraw(place, errorState(error, refresh)),
  });

  function draw() {
    redraw(place, rows.length ? table(rows) : empty(query, next), next && h("p", { class: "more" }, button(rows.length ? t("common.showOlder") : t("common.searchFurther"), more, { key: "more" })));
  }

  async function more() {
    const page = await get(localPath(next), signal);
    isExtended = true;
    rows = [...rows, ...page.value];
    next = page.next_link ?? null;
    draw();
  }
}

function apiQuery(query) {
  const filters = new URLSearchParams([...query].filter(([name, value]) => FILTERS.includes(name) && value));
  const age = Number(query.get("age"));
  if (age) filters.set("since", new Date(Date.now() - age * 1000).toISOString());
  return filters;
}

async function exportCsv(query, signal) {
  saveFile(await downloadPages(`/v1/messages/export?${apiQuery(query)}`, signal), "messages.csv");
  return t("messages.exported");
}

function empty(query, next) {
  if (next) return emptyState(t("common.noMatchesYet"), t("messages.notSearched"));
  if ([...query].some(([name, value]) => FILTERS.includes(name) && value)) return emptyState(t("messages.noMatches"), t("messages.noMatchesText"));
  return emptyState(t("messages.none"), t("messages.noneText"),
    h("pre", { class: "command", tabindex: "0", "aria-label": t("messages.command") }, FIRST_MESSAGE),
    h("div", { class: "actions" }, button(t("common.copy"), () => copyText(FIRST_MESSAGE), { key: "copy-command" }), testButton("test-empty")));
}

function testButton(key = "test") {
  return may("SendMessage") && h("button", { type: "button", data: { key }, on: { click: () => sendTest() } }, t("test.title"));
}

function searchForm(query) {
  const filled = (name) => query.get(name) ?? "";
  const id = field({ name: "id", label: t("field.id"), placeholder: "msg_…", value: filled("id") });
  const recipient = field({ name: "recipient", label: t("field.recipient"), placeholder: "ada@example.org", value: filled("recipient") });
  const from = field({ name: "from", label: t("field.sender"), placeholder: "@example.com", value: filled("from") });
  const subject = field({ name: "subject", label: t("field.subject"), placeholder: t("messages.words"), value: filled("subject") });
  const state = field({ name: "state", label: t("field.state"), options: [["", t("common.any")], ...STATES.map((each) => [each, humanize(each)])], value: filled("state") });
  const arrival = field({ name: "arrival", label: t("field.arrival"), options: [["", t("common.any")], ...ARRIVALS.map((each) => [each, humanize(each)])], value: filled("arrival") });
  const tag = field({ name: "tag", label: t("field.tag"), value: filled("tag") });
  const client = field({ name: "client", label: t("field.client"), value: filled("client") });
  const metadata = field({ name: "metadata", label: t("field.metadata"), placeholder: "order=4711", value: filled("metadata") });
  const age = field({ name: "age", label: t("field.period"), options: AGES, value: filled("age") });
  const seesContent = may("ShowMessageContent");
  const filtering = [...(seesContent ? [recipient, from, subject] : []), state, arrival, age, client, tag, ...(seesContent ? [metadata] : [])];
  const form = h("form", { class: "search", role: "search" }, [...filtering, id].map(({ element }) => element), h("button", { type: "submit", class: "primary" }, t("common.search")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ID.test(id.read())) {
      location.hash = `#/messages/${id.read()}`;
      return;
    }
    id.clear();
    if (id.read()) {
      id.showError(t("messages.badId"));
      return;
    }
    const filters = new URLSearchParams(filtering.map((each) => [each.name, each.read()]).filter(([, value]) => value));
    location.hash = `#/messages?${filters}`;
  });
  return form;
}

function table(rows) {
  return dataTable(t("page.messages"), [
    { name: may("ShowMessageContent") ? t("field.subject") : t("field.message"), cell: (row) => h("a", { class: "wide", href: `#/messages/${row.id}`, data: { key: `open-${row.id}` } }, nameOf(row)) },
    { name: t("field.state"), cell: (row) => arrivalBadge(row) },
    { name: t("field.from"), cell: (row) => (row.from ? h("span", { class: "wide", title: mailbox(row.from) }, row.from.name ?? breakable(row.from.email)) : "–") },
    { name: t("field.to"), cell: (row) => recipients(row) },
    { name: t("field.client"), cell: (row) => row.client },
    { name: t("field.size"), kind: "number tight minor", cell: (row) => byteSize(row.size) },
    { name: t("field.accepted"), kind: "tight", cell: (row) => moment(row.created_at) },
  ], rows);
}

function nameOf({ id, erased_at: erasedAt, subject }) {
  if (!may("ShowMessageContent")) return id;
  return erasedAt ? t("messages.erased") : subject || t("messages.noSubject");
}

function recipients({ recipient, recipient_count: all }) {
  if (!recipient) return all ?? "–";
  return h("span", { class: "wide", title: recipient }, breakable(recipient), all > 1 && h("span", { class: "muted small" }, ` + ${all - 1}`));
}
