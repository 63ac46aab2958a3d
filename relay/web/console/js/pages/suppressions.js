/**
 * Suppressed addresses: the list for all clients, and each client's own.
 */

import { call, CallFailed, download, get, localPath } from "../api.js";
import { button, dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, humanize, listed, moment } from "../format.js";
import { t } from "../i18n.js";
import { loadRows } from "../paging.js";
import { poll } from "../poll.js";
import { saveFile } from "../save-file.js";

const REASONS = ["manual", "bounced", "complained", "unsubscribed"];
const LIFETIMES = [["", t("lifetime.default")], ["86400", t("lifetime.day")], ["2592000", t("lifetime.30Days")], ["31536000", t("lifetime.year")]];

export async function show({ main, query, signal, focusTitle }) {
  const client = query.get("client") ?? "";
  const scope = client ? `client=${encodeURIComponent(client)}` : "";
  const place = h("div", {}, loading());
  const dialogButton = (text, open, kind = "") => h("button", { type: "button", class: kind, data: { key: text }, on: { click: open } }, text);
  const actions = [dialogButton(t("common.add"), () => add(client, done), "primary"), dialogButton(t("suppressions.import"), () => importCsv(scope, done)), button(t("suppressions.export"), () => exportCsv(scope), { key: "export" }), dialogButton(t("suppressions.sync"), () => syncProvider(done))];
  main.append(...heading(t("page.suppressions"), { actions, text: t("suppressions.text") }).filter(Boolean), h("div", { class: "card" }, await search(client, signal), place));
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
    redraw(place, rows.length ? table(rows, scope, done) : emptyState(t("suppressions.none"), t("suppressions.noneText")), next && h("p", { class: "more" }, button(t("common.showMore"), more, { key: "more" })));
  }

  async function more() {
    const page = await loadRows(localPath(next), { signal });
    rows = [...rows, ...page.rows];
    next = page.next;
    draw();
  }
}

function table(rows, scope, done) {
  return dataTable(t("page.suppressions"), [
    { name: t("field.address"), cell: ({ email }) => h("span", { class: "wide" }, email) },
    { name: t("field.reason"), cell: ({ reason }) => badge(reason) },
    { name: t("field.note"), cell: ({ note, source }) => h("span", { class: "muted wide" }, note ?? source ?? "–") },
    { name: t("field.since"), kind: "tight", cell: ({ at }) => moment(at) },
    { name: t("field.expires"), kind: "tight", cell: ({ expires_at: at }) => (at ? moment(at) : h("span", { class: "muted" }, t("suppressions.noEnd"))) },
    { name: "", kind: "tight", cell: ({ email }) => h("div", { class: "actions" }, h("button", { type: "button", "aria-label": t("suppressions.removeAddress", { email }), data: { key: `remove-${email}` }, on: { click: () => remove(email, scope, done) } }, t("common.remove"))) },
  ], rows);
}

/** Make the form that selects a list and checks one address. */
async function search(client, signal) {
  const clients = (await get("/v1/clients", signal)).value.map(({ name }) => [name, name]);
  const list = field({ name: "client", label: t("suppressions.list"), options: [["", t("suppressions.allClients")], ...clients], value: client });
  list.input.addEventListener("change", () => { location.hash = `#/suppressions${list.read() ? `?client=${encodeURIComponent(list.read())}` : ""}`; });
  const email = field({ name: "email", label: t("suppressions.check"), placeholder: "ada@example.org" });
  const answer = h("p", { class: "answer", role: "status" });
  const form = h("form", { class: "search", role: "search" }, list.element, email.element, h("button", { type: "submit", class: "primary" }, t("suppressions.checkAction")), answer);
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
    return t("suppressions.is", { email, reasons: listed(value.map(reasonOf)) });
  } catch (error) {
    return error.status === 404 ? t("suppressions.isNot", { email }) : error.message;
  }
}

function reasonOf({ reason, for_all: isForAll }) {
  return isForAll ? t("suppressions.forAll", { reason: humanize(reason) }) : humanize(reason);
}

async function add(client, done) {
  const email = field({ name: "email", label: t("field.address"), placeholder: "ada@example.org", required: true });
  const reason = field({ name: "reason", label: t("field.reason"), options: REASONS.map((each) => [each, humanize(each)]) });
  const lifetime = field({ name: "expires_in_seconds", label: t("field.expires"), options: LIFETIMES });
  const note = field({ name: "note", label: t("field.note"), hint: t("suppressions.noteHint") });
  const run = async () => {
    const optional = { ...(lifetime.read() && { expires_in_seconds: Number(lifetime.read()) }), ...(note.read() && { note: note.read() }) };
    const scope = client ? { client } : { for_all: true };
    await call("POST", "/v1/suppressions", { body: { email: email.read(), reason: reason.read(), ...scope, ...optional } });
    done();
    return t("suppressions.added", { email: email.read() });
  };
  await openDialog({ title: t("suppressions.addTitle"), action: t("common.add"), fields: [email, reason, lifetime, note], run });
}

async function remove(email, scope, done) {
  const run = async () => {
    await call("DELETE", `/v1/suppressions/${encodeURIComponent(email)}?${scope}`);
    done();
    return t("suppressions.removed", { email });
  };
  await openDialog({ title: t("suppressions.removeTitle", { email }), text: t("suppressions.removeText"), action: t("common.remove"), isDanger: true, run });
}

async function importCsv(scope, done) {
  const file = field({ name: "value", label: t("suppressions.file"), type: "file", accept: ".csv,text/csv", hint: t("suppressions.fileHint") });
  const run = async () => {
    const chosen = file.input.files[0];
    if (!chosen) throw new CallFailed({ status: 0, code: "required", message: t("suppressions.fileMissing") });
    const { imported } = await call("POST", `/v1/suppressions/import?${scope}`, { body: new Blob([chosen], { type: "text/csv" }) });
    done();
    return t("suppressions.imported", { count: imported });
  };
  await openDialog({ title: t("suppressions.importTitle"), text: t("suppressions.importText"), action: t("suppressions.import"), fields: [file], run });
}

async function exportCsv(scope) {
  saveFile(await download(`/v1/suppressions/export?${scope}`), "suppressions.csv");
  return t("suppressions.exported");
}

async function syncProvider(done) {
  const routes = (await get("/v1/routes")).value.map(({ name, provider }) => [name, `${name} (${provider})`]);
  const route = field({ name: "route", label: t("field.route"), options: routes });
  const run = async () => {
    const { imported, removed, is_complete: isComplete } = await call("POST", "/v1/suppressions/sync", { body: { route: route.read() } });
    done();
    return t(isComplete ? "suppressions.synced" : "suppressions.syncedMore", { count: imported, removed });
  };
  await openDialog({ title: t("suppressions.syncTitle"), text: t("suppressions.syncText"), action: t("suppressions.syncAction"), fields: [route], run });
}
