/**
 * List of clients.
 */

import { call, get } from "../api.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { ago, badge, humanize, listed, number } from "../format.js";
import { t } from "../i18n.js";
import { poll } from "../poll.js";

/** The roles, each with what it may do, as options of a field. */
export const ROLES = [["client", t("clients.roleClient")], ["viewer", t("clients.roleViewer")], ["support", t("clients.roleSupport")], ["operator", t("clients.roleOperator")], ["auditor", t("clients.roleAuditor")]];

export async function show({ main, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: () => create(() => refresh()) } }, t("clients.new"));
  main.append(...heading(t("page.clients"), { actions: [add], text: t("clients.text") }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => get("/v1/clients", signal),
    draw({ value }) {
      loaded = value;
      redraw(place, value.length ? table(value) : emptyState(t("clients.none"), t("clients.noneText")));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

function table(rows) {
  return dataTable(t("page.clients"), [
    { name: t("field.name"), cell: ({ name }) => h("a", { href: `#/clients/${name}`, data: { key: `open-${name}` } }, name) },
    { name: t("field.role"), cell: ({ role }) => humanize(role) },
    { name: t("field.state"), cell: ({ is_disabled: isOff, hold }) => (isOff ? badge("cancelled", humanize("disabled")) : hold ? badge("held") : badge("active")) },
    { name: t("field.keys"), kind: "number", cell: ({ keys }) => number(keys.length) },
    { name: t("field.lastUsed"), cell: ({ keys }) => ago(latest(keys)) },
    { name: t("field.limits"), cell: ({ policy }) => limits(policy) },
  ], rows);
}

function latest(keys) {
  const used = keys.map((key) => key.last_used_at).filter(Boolean).sort();
  return used.at(-1) ?? null;
}

function limits({ rate_per_minute: rate, daily_quota: quota, redirect_to: redirect }) {
  const parts = [rate && t("clients.perMinute", { count: rate }), quota && t("clients.perDay", { count: quota }), redirect && t("clients.redirected")].filter(Boolean);
  return listed(parts) || h("span", { class: "muted" }, t("clients.noLimits"));
}

async function create(done) {
  const name = field({ name: "name", label: t("field.name"), hint: t("clients.nameHint"), required: true });
  const role = field({ name: "role", label: t("field.role"), options: ROLES, value: "client" });
  const senders = field({ name: "policy.senders", label: t("field.senders"), hint: t("clients.sendersHint"), lines: 3 });
  let created = null;
  await openDialog({
    title: t("clients.new"),
    action: t("common.create"),
    fields: [name, role, senders],
    run: async () => {
      created = await call("POST", "/v1/clients", { body: { name: name.read(), role: role.read(), policy: { senders: senders.items() } } });
      return t("clients.created", { name: created.name });
    },
  });
  if (created === null) return;
  done();
  await showSecret({ title: t("clients.keyOf", { name: created.name }), text: t("common.secretOnce"), secret: created.key });
}
