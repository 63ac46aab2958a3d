/**
 * Addresses that are not sent to, and why: everybody's list, and each client's own.
 */

import { CallFailed, bytes, call, get, here } from "../api.js";
import { ask, field } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { button, failed, heading, list, loading, nothing } from "../parts.js";
import { badge, count, moment } from "../words.js";

const REASONS = ["manual", "bounced", "complained", "unsubscribed"];
const LASTS = [["", "As the reason's rule says"], ["86400", "A day"], ["2592000", "30 days"], ["31536000", "A year"]];

export async function show({ room, query, signal, focusTitle }) {
  const client = query.get("client") ?? "";
  const scope = client ? `client=${encodeURIComponent(client)}` : "";
  const place = h("div", {}, loading());
  const opens = (text, open, kind = "") => h("button", { type: "button", class: kind, data: { key: text }, on: { click: open } }, text);
  const actions = [opens("Add", () => add(client, done), "primary"), opens("Import", () => take(scope, done)), button("Export", () => save(scope), { key: "export" }), opens("From a provider", () => synchronise(done))];
  room.append(...heading("Suppressions", { actions, text: "Addresses that are not sent to. A message to them is refused or goes without them." }).filter(Boolean), h("div", { class: "card" }, await search(client, signal), place));
  focusTitle();
  let rows = null;
  let next = null;
  const again = live({
    signal,
    seconds: 15,
    load: () => get(`/v1/suppressions?${scope}`, signal),
    draw({ value, next_link: link }) {
      rows = value;
      next = link ?? null;
      draw();
    },
    fail: (error) => rows === null && redraw(place, failed(error, again)),
  });

  function done() {
    again();
  }

  function draw() {
    redraw(place, rows.length ? table(rows, scope, done) : nothing("Nobody is kept out", "Bounces and complaints come here by themselves."), next && h("p", { class: "more" }, button("Show more", more, { key: "more" })));
  }

  async function more() {
    const told = await get(here(next), signal);
    rows = [...rows, ...told.value];
    next = told.next_link ?? null;
    draw();
  }
}

function table(rows, scope, done) {
  return list("Suppressions", [
    { name: "Address", cell: ({ email }) => h("span", { class: "wide" }, email) },
    { name: "Reason", cell: ({ reason }) => badge(reason) },
    { name: "Note", cell: ({ note, source }) => h("span", { class: "muted wide" }, note ?? source ?? "–") },
    { name: "Since", kind: "tight", cell: ({ at }) => moment(at) },
    { name: "Until", kind: "tight", cell: ({ expires_at: at }) => (at ? moment(at) : h("span", { class: "muted" }, "for good")) },
    { name: "", kind: "tight", cell: ({ email }) => h("div", { class: "actions" }, h("button", { type: "button", "aria-label": `Remove ${email}`, data: { key: `remove-${email}` }, on: { click: () => remove(email, scope, done) } }, "Remove")) },
  ], rows);
}

/** Whose list is shown, and whether one address is kept out. */
async function search(client, signal) {
  const clients = (await get("/v1/clients", signal)).value.map(({ name }) => [name, name]);
  const whose = field({ name: "client", label: "List", options: [["", "Everybody's"], ...clients], value: client });
  whose.input.addEventListener("change", () => { location.hash = `#/suppressions${whose.read() ? `?client=${encodeURIComponent(whose.read())}` : ""}`; });
  const email = field({ name: "email", label: "Ask about an address", placeholder: "ada@example.org" });
  const answer = h("p", { class: "answer", role: "status" });
  const form = h("form", { class: "search", role: "search" }, whose.element, email.element, h("button", { type: "submit", class: "primary" }, "Ask"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!email.read()) return;
    answer.textContent = await about(email.read(), client, signal);
  });
  return form;
}

async function about(email, client, signal) {
  try {
    const { value } = await get(`/v1/suppressions/${encodeURIComponent(email)}?${client ? `client=${encodeURIComponent(client)}` : ""}`, signal);
    return `${email} is kept out: ${value.map(({ reason, for_all: isAll }) => `${reason}${isAll ? ", for all" : ""}`).join("; ")}.`;
  } catch (error) {
    return error.status === 404 ? `Nothing keeps ${email} out.` : error.message;
  }
}

async function add(client, done) {
  const email = field({ name: "email", label: "Address", placeholder: "ada@example.org", required: true });
  const reason = field({ name: "reason", label: "Reason", options: REASONS.map((each) => [each, each]) });
  const lasts = field({ name: "expires_in_seconds", label: "For how long", options: LASTS });
  const note = field({ name: "note", label: "Note", hint: "Who asked for it, and where." });
  const run = async () => {
    const optional = { ...(lasts.read() && { expires_in_seconds: Number(lasts.read()) }), ...(note.read() && { note: note.read() }) };
    const whose = client ? { client } : { for_all: true };
    await call("POST", "/v1/suppressions", { body: { email: email.read(), reason: reason.read(), ...whose, ...optional } });
    done();
    return `${email.read()} is kept out.`;
  };
  await ask({ title: "Keep an address out", action: "Add", fields: [email, reason, lasts, note], run });
}

async function remove(email, scope, done) {
  const run = async () => {
    await call("DELETE", `/v1/suppressions/${encodeURIComponent(email)}?${scope}`);
    done();
    return `${email} may be sent to again.`;
  };
  await ask({ title: `Send to ${email} again?`, text: "If it bounces or complains again, it comes back to this list.", action: "Remove", isDanger: true, run });
}

async function take(scope, done) {
  const file = field({ name: "value", label: "A CSV file", type: "file", accept: ".csv,text/csv", hint: "The first line names the columns: email, and if you like reason and note." });
  const run = async () => {
    const chosen = file.input.files[0];
    if (!chosen) throw new CallFailed({ status: 0, code: "required", message: "Choose a file." });
    const { imported } = await call("POST", `/v1/suppressions/import?${scope}`, { body: new Blob([chosen], { type: "text/csv" }) });
    done();
    return `${count(imported, "address", "addresses")} taken over.`;
  };
  await ask({ title: "Import addresses", text: "All of the file or nothing of it.", action: "Import", fields: [file], run });
}

async function save(scope) {
  const url = URL.createObjectURL(await bytes(`/v1/suppressions/export?${scope}`));
  h("a", { href: url, download: "suppressions.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  return "The list is saved.";
}

async function synchronise(done) {
  const routes = (await get("/v1/routes")).value.map(({ name, provider }) => [name, `${name} (${provider})`]);
  const route = field({ name: "route", label: "Route", options: routes });
  const run = async () => {
    const { taken, dropped, is_whole: isWhole } = await call("POST", "/v1/suppressions/sync", { body: { route: route.read() } });
    done();
    return `${count(taken, "address", "addresses")} taken over, ${dropped} dropped${isWhole ? "" : "; there are more: repeat it"}.`;
  };
  await ask({ title: "Take over a provider's lists", text: "What the provider has dropped from its lists meanwhile is dropped here.", action: "Take over", fields: [route], run });
}
