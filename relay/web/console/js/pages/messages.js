/**
 * List of messages, newest first. The filters are in the URL, so that a search can be bookmarked and shared.
 */

import { downloadPages, get, localPath } from "../api.js";
import { copyText } from "../clipboard.js";
import { button, dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { curl } from "../curl.js";
import { field } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { arrivalBadge, byteSize, humanize, mailbox, moment } from "../format.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";
import { sendTest } from "./send-test.js";
import { saveFile } from "../save-file.js";

const STATES = ["scheduled", "queued", "sending", "deferred", "held", "sent", "failed", "expired", "cancelled", "unknown"];
const AGES = [["3600", "Last hour"], ["", "Last day"], ["604800", "Last week"], ["2592000", "Last 30 days"]];
const ARRIVALS = ["delivered", "awaited", "not_reported", "suppressed", "bounced", "complained"];
const FILTERS = ["recipient", "from", "subject", "state", "arrival", "client", "tag", "metadata"];
const FIRST_MESSAGE = curl("/v1/messages", { method: "POST", body: { from: "shop@example.com", to: "you@example.com", subject: "Hello", text: "It works." } });
const ID = /^msg_[0-9a-v]{40}$/;

export async function show({ main, query, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const save = button("Export CSV", () => exportCsv(query, signal), { key: "export" });
  const copy = button("Copy as curl", () => copyText(curl(`/v1/messages?${apiQuery(query)}`)), { key: "curl" });
  main.append(...heading("Messages", { actions: [testButton(), save, copy].filter(Boolean) }).filter(Boolean), h("div", { class: "card" }, searchForm(query), place));
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
    redraw(place, rows.length ? table(rows) : empty(query, next), next && h("p", { class: "more" }, button(rows.length ? "Show older" : "Search further back", more, { key: "more" })));
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
  return "Messages exported.";
}

function empty(query, next) {
  if (next) return emptyState("No matches so far", "Older messages have not been searched yet.");
  if ([...query].some(([name, value]) => FILTERS.includes(name) && value)) return emptyState("No matches", "No message in this period matches all filters.");
  return emptyState("No messages", "No messages were accepted in this period. A message appears here when its first attempt starts. Send one with the key of a client:",
    h("pre", { class: "command", tabindex: "0", "aria-label": "Command that sends a message" }, FIRST_MESSAGE),
    h("div", { class: "actions" }, button("Copy", () => copyText(FIRST_MESSAGE), { key: "copy-command" }), testButton("test-empty")));
}

function testButton(key = "test") {
  return may("SendMessage") && h("button", { type: "button", data: { key }, on: { click: () => sendTest() } }, "Send a test message");
}

function searchForm(query) {
  const filled = (name) => query.get(name) ?? "";
  const id = field({ name: "id", label: "ID", placeholder: "msg_…", value: filled("id") });
  const recipient = field({ name: "recipient", label: "Recipient", placeholder: "ada@example.org", value: filled("recipient") });
  const from = field({ name: "from", label: "Sender", placeholder: "@example.com", value: filled("from") });
  const subject = field({ name: "subject", label: "Subject", placeholder: "words", value: filled("subject") });
  const state = field({ name: "state", label: "State", options: [["", "Any"], ...STATES.map((each) => [each, each])], value: filled("state") });
  const arrival = field({ name: "arrival", label: "Arrival", options: [["", "Any"], ...ARRIVALS.map((each) => [each, humanize(each)])], value: filled("arrival") });
  const tag = field({ name: "tag", label: "Tag", value: filled("tag") });
  const client = field({ name: "client", label: "Client", value: filled("client") });
  const metadata = field({ name: "metadata", label: "Metadata", placeholder: "order=4711", value: filled("metadata") });
  const age = field({ name: "age", label: "Period", options: AGES, value: filled("age") });
  const seesContent = may("ShowMessageContent");
  const filtering = [...(seesContent ? [recipient, from, subject] : []), state, arrival, age, client, tag, ...(seesContent ? [metadata] : [])];
  const form = h("form", { class: "search", role: "search" }, [...filtering, id].map(({ element }) => element), h("button", { type: "submit", class: "primary" }, "Search"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ID.test(id.read())) {
      location.hash = `#/messages/${id.read()}`;
      return;
    }
    id.clear();
    if (id.read()) {
      id.showError("An ID is msg_ followed by 40 letters and digits.");
      return;
    }
    const filters = new URLSearchParams(filtering.map((each) => [each.name, each.read()]).filter(([, value]) => value));
    location.hash = `#/messages?${filters}`;
  });
  return form;
}

function table(rows) {
  return dataTable("Messages", [
    { name: may("ShowMessageContent") ? "Subject" : "Message", cell: (row) => h("a", { class: "wide", href: `#/messages/${row.id}`, data: { key: `open-${row.id}` } }, nameOf(row)) },
    { name: "State", cell: (row) => arrivalBadge(row) },
    { name: "From", cell: (row) => (row.from ? h("span", { class: "wide", title: mailbox(row.from) }, row.from.name ?? row.from.email) : "–") },
    { name: "To", cell: (row) => recipients(row) },
    { name: "Client", cell: (row) => row.client },
    { name: "Size", kind: "number tight minor", cell: (row) => byteSize(row.size) },
    { name: "Accepted", kind: "tight", cell: (row) => moment(row.created_at) },
  ], rows);
}

function nameOf({ id, erased_at: erasedAt, subject }) {
  if (!may("ShowMessageContent")) return id;
  return erasedAt ? "(erased)" : subject || "(no subject)";
}

function recipients({ recipient, recipient_count: all }) {
  if (!recipient) return all ?? "–";
  return h("span", { class: "wide", title: recipient }, recipient, all > 1 && h("span", { class: "muted small" }, ` + ${all - 1}`));
}
