/**
 * List of clients.
 */

import { call, get } from "../api.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { ago, badge, number } from "../format.js";
import { poll } from "../poll.js";

/** The roles, each with what it may do, as options of a field. */
export const ROLES = [["client", "Client: sends, and reads its own messages"], ["viewer", "Viewer: sees states, no content"], ["support", "Support: sees content, sends failed mail again"], ["operator", "Operator: full access"], ["auditor", "Auditor: reads the audit log"]];

export async function show({ main, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: () => create(() => refresh()) } }, "New client");
  main.append(...heading("Clients", { actions: [add], text: "Applications that can send, and people with a role." }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => get("/v1/clients", signal),
    draw({ value }) {
      loaded = value;
      redraw(place, value.length ? table(value) : emptyState("No clients", "Create one to send mail."));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

function table(rows) {
  return dataTable("Clients", [
    { name: "Name", cell: ({ name }) => h("a", { href: `#/clients/${name}`, data: { key: `open-${name}` } }, name) },
    { name: "Role", cell: ({ role }) => role },
    { name: "State", cell: ({ is_disabled: isOff, hold }) => (isOff ? badge("cancelled", "disabled") : hold ? badge("held") : badge("active")) },
    { name: "Keys", kind: "number", cell: ({ keys }) => number(keys.length) },
    { name: "Last used", cell: ({ keys }) => ago(latest(keys)) },
    { name: "Limits", cell: ({ policy }) => limits(policy) },
  ], rows);
}

function latest(keys) {
  const used = keys.map((key) => key.last_used_at).filter(Boolean).sort();
  return used.at(-1) ?? null;
}

function limits({ rate_per_minute: rate, daily_quota: quota, redirect_to: redirect }) {
  const parts = [rate && `${number(rate)} per minute`, quota && `${number(quota)} recipients per day`, redirect && "redirected"].filter(Boolean);
  return parts.join(", ") || h("span", { class: "muted" }, "none");
}

async function create(done) {
  const name = field({ name: "name", label: "Name", hint: "Lowercase letters, digits and dashes.", required: true });
  const role = field({ name: "role", label: "Role", options: ROLES, value: "client" });
  const senders = field({ name: "policy.senders", label: "Senders", hint: "Allowed From addresses, one per line: *, an address, or *@example.com. Without any, the client cannot send.", lines: 3 });
  let created = null;
  await openDialog({
    title: "New client",
    action: "Create",
    fields: [name, role, senders],
    run: async () => {
      created = await call("POST", "/v1/clients", { body: { name: name.read(), role: role.read(), policy: { senders: senders.items() } } });
      return `${created.name} was created.`;
    },
  });
  if (created === null) return;
  done();
  await showSecret({ title: `Key of ${created.name}`, text: "Copy it now. Relay stores only a digest and cannot show it again.", secret: created.key });
}
