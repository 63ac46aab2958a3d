/**
 * Messages, newest first; the filters are in the address, so that a search can be kept and shared.
 */

import { get, here } from "../api.js";
import { field } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { button, failed, heading, list, loading, nothing } from "../parts.js";
import { badge, bytes, mailbox, moment } from "../words.js";

const STATES = ["scheduled", "queued", "sending", "deferred", "held", "sent", "failed", "expired", "cancelled", "unknown"];
const AGES = [["3600", "Last hour"], ["", "Last day"], ["604800", "Last week"], ["2592000", "Last 30 days"]];
const FILTERS = ["state", "recipient", "tag", "client"];
const ID = /^msg_[0-9a-v]{40}$/;

export async function show({ room, query, signal, focusTitle }) {
  const place = h("div", {}, loading());
  room.append(...heading("Messages").filter(Boolean), h("div", { class: "card" }, form(query), place));
  focusTitle();
  let rows = null;
  let next = null;
  let isLonger = false;
  const again = live({
    signal,
    seconds: 5,
    load: () => (isLonger ? Promise.resolve({ value: rows, next_link: next }) : get(`/v1/messages?${wanted(query)}`, signal)),
    draw({ value, next_link: link }) {
      rows = value;
      next = link ?? null;
      draw();
    },
    fail: (error) => rows === null && redraw(place, failed(error, again)),
  });

  function draw() {
    redraw(place, rows.length ? table(rows) : empty(query, next), next && h("p", { class: "more" }, button(rows.length ? "Show older" : "Look further back", more, { key: "more" })));
  }

  async function more() {
    const told = await get(here(next), signal);
    isLonger = true;
    rows = [...rows, ...told.value];
    next = told.next_link ?? null;
    draw();
  }
}

function wanted(query) {
  const asked = new URLSearchParams([...query].filter(([name, value]) => FILTERS.includes(name) && value));
  const age = Number(query.get("age"));
  if (age) asked.set("since", new Date(Date.now() - age * 1000).toISOString());
  return asked;
}

function empty(query, next) {
  if (next) return nothing("None so far", "What was looked at has none that fits.");
  if ([...query].some(([name, value]) => FILTERS.includes(name) && value)) return nothing("Nothing fits", "No message of this time has all of what you asked for.");
  return nothing("No messages", "Nothing was accepted in this time. A message appears here once its first attempt has begun.");
}

function form(query) {
  const filled = (name) => query.get(name) ?? "";
  const id = field({ name: "id", label: "Id", placeholder: "msg_…", value: filled("id") });
  const recipient = field({ name: "recipient", label: "Recipient", placeholder: "ada@example.org", value: filled("recipient") });
  const state = field({ name: "state", label: "State", options: [["", "Any"], ...STATES.map((each) => [each, each])], value: filled("state") });
  const tag = field({ name: "tag", label: "Tag", value: filled("tag") });
  const client = field({ name: "client", label: "Client", value: filled("client") });
  const age = field({ name: "age", label: "Time", options: AGES, value: filled("age") });
  const made = h("form", { class: "search", role: "search" }, [recipient, state, age, client, tag, id].map(({ element }) => element), h("button", { type: "submit", class: "primary" }, "Search"));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ID.test(id.read())) {
      location.hash = `#/messages/${id.read()}`;
      return;
    }
    id.clear();
    if (id.read()) {
      id.fault("An id is msg_ and 40 letters and digits.");
      return;
    }
    const asked = new URLSearchParams([recipient, state, tag, client, age].map((each) => [each.name, each.read()]).filter(([, value]) => value));
    location.hash = `#/messages?${asked}`;
  });
  return made;
}

function table(rows) {
  return list("Messages", [
    { name: "Subject", cell: (row) => h("a", { class: "wide", href: `#/messages/${row.id}`, data: { key: `open-${row.id}` } }, row.erased_at ? "(erased)" : row.subject || "(no subject)") },
    { name: "State", cell: (row) => badge(row.state) },
    { name: "From", cell: (row) => (row.from ? h("span", { class: "wide", title: mailbox(row.from) }, row.from.name ?? row.from.email) : "–") },
    { name: "To", kind: "number minor", cell: (row) => row.recipient_count ?? "–" },
    { name: "Client", cell: (row) => row.client },
    { name: "Size", kind: "number tight minor", cell: (row) => bytes(row.size) },
    { name: "Accepted", kind: "tight", cell: (row) => moment(row.created_at) },
  ], rows);
}
