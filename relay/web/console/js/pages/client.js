/**
 * One client: state, keys, webhooks, policy, and deletion.
 */

import { call, get } from "../api.js";
import { codeName } from "../causes.js";
import { button, card, dataTable, definitions, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { ago, badge, holdFigures, humanize, moment } from "../format.js";
import { t } from "../i18n.js";
import { ROLES } from "./clients.js";
import { policyForm } from "./policy.js";
import { stateOf } from "./webhooks.js";

const KEY_LIFETIMES = [["", t("client.keyNever")], ["3600", t("client.keyHour")], ["2592000", t("client.key30Days")], ["31536000", t("client.keyYear")]];

export async function show({ main, one: name, me, signal, focusTitle }) {
  const path = `/v1/clients/${encodeURIComponent(name)}`;
  const place = h("div", { class: "stack" }, loading());
  const tools = h("div", { class: "actions" });
  main.append(...heading(name, { actions: [tools], crumb: [t("page.clients"), "#/clients"] }).filter(Boolean), place);
  focusTitle();
  let webhooks = [];
  await load();

  async function load() {
    try {
      const [client, hooks] = await Promise.all([get(path, signal), get(`${path}/webhooks`, signal)]);
      webhooks = hooks.value;
      draw(client);
    } catch (error) {
      if (error.name === "AbortError") return;
      redraw(place, errorState(error, load));
    }
  }

  function draw(client) {
    redraw(tools, toggle(client), name !== me.name && h("button", { type: "button", class: "danger", data: { key: "delete" }, on: { click: remove } }, t("common.delete")));
    redraw(place, client.hold && held(client.hold), about(client), keys(client), hooks(), policyForm(client, async (policy) => {
      draw(await call("PATCH", path, { body: { policy } }));
      return t("client.policySaved");
    }));
  }

  function toggle({ is_disabled: isOff }) {
    const change = async () => {
      draw(await call("PATCH", path, { body: { is_disabled: !isOff } }));
      return isOff ? t("client.enabled", { name }) : t("client.disabled", { name });
    };
    return name === me.name ? null : button(isOff ? t("client.enable") : t("client.disable"), change, { key: "toggle" });
  }

  async function remove() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/clients";
      return t("common.wasDeleted", { name });
    };
    await openDialog({ title: t("common.deleteTitle", { name }), text: t("client.deleteText"), action: t("common.delete"), isDanger: true, run });
  }

  function held(hold) {
    const release = async () => {
      draw(await call("POST", `${path}/release`));
      return t("client.released", { name });
    };
    return h("section", { class: "card" }, h("header", {}, h("h2", {}, t("client.held")), button(t("routes.release"), release, { key: "release" })), h("div", { class: "inside" },
      h("p", {}, t(hold.lanes === "all" ? "client.heldAll" : "client.heldBulk", { figures: holdFigures(hold) })),
      definitions([t("field.reason"), badge("held", codeName(hold.code))], [t("field.held"), moment(hold.held_at)], [t("client.countedSince"), moment(hold.since)])));
  }

  function about({ role, is_disabled: isOff, principals }) {
    return card(t("common.about"), h("div", { class: "inside" }, definitions(
      [t("field.role"), humanize(role)],
      [t("field.state"), isOff ? badge("cancelled", humanize("disabled")) : badge("active")],
      [t("client.principals"), principals.length ? principals.map((each) => h("div", {}, h("code", {}, each))) : t("client.keysOnly")],
    )));
  }

  function keys({ keys: rows, role: own }) {
    const columns = [
      { name: t("field.key"), cell: ({ id }) => h("code", {}, `relay_${id}_…`) },
      { name: t("field.role"), cell: ({ role }) => (role ? humanize(role) : h("span", { class: "muted" }, humanize(own))) },
      { name: t("field.created"), cell: ({ created_at: at }) => moment(at) },
      { name: t("field.lastUsed"), cell: ({ last_used_at: at }) => (at ? ago(at) : h("span", { class: "muted" }, t("client.neverUsed"))) },
      { name: t("field.expires"), cell: ({ expires_at: at }) => (at ? moment(at) : h("span", { class: "muted" }, t("client.noExpiry"))) },
      { name: "", kind: "tight", cell: ({ id }) => h("div", { class: "actions" }, h("button", { type: "button", class: "danger", "aria-label": t("client.removeKey", { id }), data: { key: `remove-${id}` }, on: { click: () => removeKey(id) } }, t("common.remove"))) },
    ];
    const add = h("button", { type: "button", data: { key: "add-key" }, on: { click: addKey } }, t("client.addKey"));
    return h("section", { class: "card" }, h("header", {}, h("h2", {}, t("field.keys")), add), rows.length ? dataTable(t("field.keys"), columns, rows) : emptyState(t("client.noKeys"), t("client.noKeysText")));
  }

  function hooks() {
    const columns = [
      { name: t("field.url"), cell: ({ url }) => h("span", { class: "wide" }, url) },
      { name: t("field.state"), cell: stateOf },
      { name: t("field.note"), cell: ({ note }) => note ?? "–" },
      { name: t("field.created"), kind: "tight", cell: ({ created_at: at }) => moment(at) },
      { name: "", kind: "tight", cell: (hook) => h("div", { class: "actions" }, h("button", { type: "button", class: "danger", "aria-label": t("client.deleteWebhook", { url: hook.url }), data: { key: `delete-${hook.id}` }, on: { click: () => removeWebhook(hook) } }, t("common.delete"))) },
    ];
    return h("section", { class: "card" }, h("header", {}, h("h2", {}, t("page.webhooks"))), webhooks.length ? dataTable(t("page.webhooks"), columns, webhooks) : emptyState(t("webhooks.none"), t("client.noWebhooksText")));
  }

  async function removeWebhook({ id, url }) {
    const run = async () => {
      await call("DELETE", `${path}/webhooks/${id}`);
      await load();
      return t("client.webhookDeleted");
    };
    await openDialog({ title: t("webhook.deleteTitle"), text: t("client.webhookDeleteText", { url }), action: t("common.delete"), isDanger: true, run });
  }

  async function addKey() {
    const role = field({ name: "role", label: t("field.role"), options: [["", t("client.ownRole")], ...ROLES] });
    const lifetime = field({ name: "expires_in_seconds", label: t("field.expires"), options: KEY_LIFETIMES });
    let created = null;
    const run = async () => {
      const body = { ...(role.read() && { role: role.read() }), ...(lifetime.read() && { expires_in_seconds: Number(lifetime.read()) }) };
      created = await call("POST", `${path}/keys`, { body });
    };
    await openDialog({ title: t("client.addKeyTitle", { name }), text: t("client.addKeyText"), action: t("common.add"), fields: [role, lifetime], run });
    if (created === null) return;
    await load();
    await showSecret({ title: t("client.newKey"), text: t("common.secretOnce"), secret: created.key });
  }

  async function removeKey(id) {
    const run = async () => {
      await call("DELETE", `${path}/keys/${id}`);
      await load();
      return t("client.keyRemoved", { id });
    };
    await openDialog({ title: t("client.removeKeyTitle"), text: t("client.removeKeyText", { key: `relay_${id}_…` }), action: t("common.remove"), isDanger: true, run });
  }
}
