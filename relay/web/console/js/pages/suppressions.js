/**
 * Suppressed addresses: the list for all clients, and each client's own.
 */

import { call, CallFailed, download, get, localPath } from "../api.js";
import { button, dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, count, moment } from "../format.js";
import { loadRows } from "../paging.js";
import { poll } from "../poll.js";
import { saveFile } from "../save-file.js";

const REASONS = ["manual", "bounced", "complained", "unsubscribed"];
const LIFETIMES = [["", "Default for the reason"], ["86400", "A day"], ["2592000", "30 days"], ["31536000", "A year"]];

export async function show({ main, query, signal, focusTitle }) {
  const client = query.get("client") ?? "";
  const scope = client ? `client=${encodeURIComponent(client)}` : "";
  const place = h("div", {}, loading());
  const dialogButton = (text, open, kind = "") => h("button", { type: "button", class: kind, data: { key: text }, on: { click: open } }, text);
  const actions = [dialogButton("Add", () => add(client, done), "primary"), dialogButton("Import", () => importCsv(scope, done)), button("Export", () => exportCsv(scope), { key: "export" }), dialogButton("Sync from provider", () => syncProvider(done))];
  main.append(...heading("Suppressions", { actions, text: "Relay does not send to these addresses. A message to them is refused, or sent to its other recipients only." }).filter(Boolean), h("div", { class: "card" }, await search(client, signal), place));
  focusTitle();
  let rows = null;
  let next = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => loadRows(`/v1/suppressions?${scope}`, { minimum: rows?.length, signal }),
    draw(loaded) {
      ({ rows, next } = loaded);
      draw();
    },
    fail: (error) => rows === null && redraw(place, errorState(error, refresh)),
  });

  function done() {
    refresh();
  }

  function draw() {
    redraw(place, rows.length ? table(rows, scope, done) : emptyState("No suppressed addresses", "Bounces and complaints add addresses automatically."), next && h("p", { class: "more" }, button("Show more", more, { key: "more" })));
  }

  async function more() {
    const page = await loadRows(localPath(next), { signal });
    rows = [...rows, ...page.rows];
    next = page.next;
    draw();
  }
}

function table(rows, scope, done) {
  return dataTable("Suppressions", [
    { name: "Address", cell: ({ email }) => h("span", { class: "wide" }, email) },
    { name: "Reason", cell: ({ reason }) => badge(reason) },
    { name: "Note", cell: ({ note, source }) => h("span", { class: "muted wide" }, note ?? source ?? "–") },
    { name: "Since", kind: "tight", cell: ({ at }) => moment(at) },
    { name: "Expires", kind: "tight", cell: ({ expires_at: at }) => (at ? moment(at) : h("span", { class: "muted" }, "no end")) },
    { name: "", kind: "tight", cell: ({ email }) => h("div", { class: "actions" }, h("button", { type: "button", "aria-label": `Remove ${email}`, data: { key: `remove-${email}` }, on: { click: () => remove(email, scope, done) } }, "Remove")) },
  ], rows);
}

/** Make the form that selects a list and checks one address. */
async function search(client, signal) {
  const clients = (await get("/v1/clients", signal)).value.map(({ name }) => [name, name]);
  const list = field({ name: "client", label: "List", options: [["", "All clients"], ...clients], value: client });
  list.input.addEventListener("change", () => { location.hash = `#/suppressions${list.read() ? `?client=${encodeURIComponent(list.read())}` : ""}`; });
  const email = field({ name: "email", label: "Check an address", placeholder: "ada@example.org" });
  const answer = h("p", { class: "answer", role: "status" });
  const form = h("form", { class: "search", role: "search" }, list.element, email.element, h("button", { type: "submit", class: "primary" }, "Check"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!email.read()) return;
    answer.textContent = await checkAddress(email.read(), client, signal);
  });
  return form;
}

async function checkAddress(email, client, signal) {
  try {
    const { value } = await get(`/v1/suppressions/${encodeURIComponent(email)}?${client ? `client=${encodeURIComponent(client)}` : ""}`, signal);
    return `${email} is suppressed: ${value.map(({ reason, for_all: isAll }) => `${reason}${isAll ? " (all clients)" : ""}`).join(", ")}.`;
  } catch (error) {
    return error.status === 404 ? `${email} is not suppressed.` : error.message;
  }
}

async function add(client, done) {
  const email = field({ name: "email", label: "Address", placeholder: "ada@example.org", required: true });
  const reason = field({ name: "reason", label: "Reason", options: REASONS.map((each) => [each, each]) });
  const lifetime = field({ name: "expires_in_seconds", label: "Expires", options: LIFETIMES });
  const note = field({ name: "note", label: "Note", hint: "For example, who requested it and how." });
  const run = async () => {
    const optional = { ...(lifetime.read() && { expires_in_seconds: Number(lifetime.read()) }), ...(note.read() && { note: note.read() }) };
    const scope = client ? { client } : { for_all: true };
    await call("POST", "/v1/suppressions", { body: { email: email.read(), reason: reason.read(), ...scope, ...optional } });
    done();
    return `${email.read()} is suppressed.`;
  };
  await openDialog({ title: "Suppress an address", action: "Add", fields: [email, reason, lifetime, note], run });
}

async function remove(email, scope, done) {
  const run = async () => {
    await call("DELETE", `/v1/suppressions/${encodeURIComponent(email)}?${scope}`);
    done();
    return `${email} is no longer suppressed.`;
  };
  await openDialog({ title: `Remove ${email}?`, text: "Relay sends to it again. Another bounce or complaint adds it back.", action: "Remove", isDanger: true, run });
}

async function importCsv(scope, done) {
  const file = field({ name: "value", label: "CSV file", type: "file", accept: ".csv,text/csv", hint: "The first line names the columns: email, and optionally reason and note." });
  const run = async () => {
    const chosen = file.input.files[0];
    if (!chosen) throw new CallFailed({ status: 0, code: "required", message: "Select a file." });
    const { imported } = await call("POST", `/v1/suppressions/import?${scope}`, { body: new Blob([chosen], { type: "text/csv" }) });
    done();
    return `${count(imported, "address", "addresses")} imported.`;
  };
  await openDialog({ title: "Import addresses", text: "If one line is invalid, nothing is imported.", action: "Import", fields: [file], run });
}

async function exportCsv(scope) {
  saveFile(await download(`/v1/suppressions/export?${scope}`), "suppressions.csv");
  return "List exported.";
}

async function syncProvider(done) {
  const routes = (await get("/v1/routes")).value.map(({ name, provider }) => [name, `${name} (${provider})`]);
  const route = field({ name: "route", label: "Route", options: routes });
  const run = async () => {
    const { imported, removed, is_complete: isComplete } = await call("POST", "/v1/suppressions/sync", { body: { route: route.read() } });
    done();
    return `${count(imported, "address", "addresses")} added, ${removed} removed${isComplete ? "" : ". There are more: run it again"}.`;
  };
  await openDialog({ title: "Sync from a provider", text: "Adds the addresses on the provider's suppression lists. Addresses that the provider has removed from its lists are removed here too.", action: "Sync", fields: [route], run });
}
