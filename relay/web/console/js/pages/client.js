/**
 * One client: state, keys, webhooks, policy, and deletion.
 */

import { call, get } from "../api.js";
import { button, card, dataTable, definitions, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { ago, badge, holdFigures, humanize, moment } from "../format.js";
import { ROLES } from "./clients.js";
import { policyForm } from "./policy.js";
import { stateOf } from "./webhooks.js";

const KEY_LIFETIMES = [["", "Never"], ["3600", "In an hour"], ["2592000", "In 30 days"], ["31536000", "In a year"]];

export async function show({ main, one: name, me, signal, focusTitle }) {
  const path = `/v1/clients/${encodeURIComponent(name)}`;
  const place = h("div", { class: "stack" }, loading());
  const tools = h("div", { class: "actions" });
  main.append(...heading(name, { actions: [tools], crumb: ["Clients", "#/clients"] }).filter(Boolean), place);
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
    redraw(tools, toggle(client), name !== me.name && h("button", { type: "button", class: "danger", data: { key: "delete" }, on: { click: remove } }, "Delete"));
    redraw(place, client.hold && held(client.hold), about(client), keys(client), hooks(), policyForm(client, async (policy) => {
      draw(await call("PATCH", path, { body: { policy } }));
      return "Policy saved. All instances apply it within 30 seconds.";
    }));
  }

  function toggle({ is_disabled: isOff }) {
    const change = async () => {
      draw(await call("PATCH", path, { body: { is_disabled: !isOff } }));
      return isOff ? `${name} is enabled.` : `${name} is disabled.`;
    };
    return name === me.name ? null : button(isOff ? "Enable" : "Disable", change, { key: "toggle" });
  }

  async function remove() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/clients";
      return `${name} was deleted.`;
    };
    await openDialog({ title: `Delete ${name}?`, text: "Its keys stop working within 30 seconds, and its webhooks, unused uploads and suppressions are deleted. Its messages stay, and only operators can see them.", action: "Delete", isDanger: true, run });
  }

  function held(hold) {
    const what = hold.lanes === "all" ? "All mail of this client waits" : "Mail of this client on every lane but transactional waits";
    const release = async () => {
      draw(await call("POST", `${path}/release`));
      return `${name} is released. What waited is sent.`;
    };
    return h("section", { class: "card" }, h("header", {}, h("h2", {}, "Held"), button("Release", release, { key: "release" })), h("div", { class: "inside" },
      h("p", {}, `${what}: ${holdFigures(hold)}. None is lost. Find the cause first: what is released and bounces too harms every sender of this relay.`),
      definitions(["Reason", badge("held", humanize(hold.code))], ["Held", moment(hold.held_at)], ["Counted since", moment(hold.since)])));
  }

  function about({ role, is_disabled: isOff, principals }) {
    return card("About", h("div", { class: "inside" }, definitions(
      ["Role", role],
      ["State", isOff ? badge("cancelled", "disabled") : badge("active")],
      ["Signs in with Entra", principals.length ? principals.map((each) => h("div", {}, h("code", {}, each))) : "No, keys only"],
    )));
  }

  function keys({ keys: rows, role: own }) {
    const columns = [
      { name: "Key", cell: ({ id }) => h("code", {}, `relay_${id}_…`) },
      { name: "Role", cell: ({ role }) => role ?? h("span", { class: "muted" }, own) },
      { name: "Created", cell: ({ created_at: at }) => moment(at) },
      { name: "Last used", cell: ({ last_used_at: at }) => (at ? ago(at) : h("span", { class: "muted" }, "never")) },
      { name: "Expires", cell: ({ expires_at: at }) => (at ? moment(at) : h("span", { class: "muted" }, "never")) },
      { name: "", kind: "tight", cell: ({ id }) => h("div", { class: "actions" }, h("button", { type: "button", class: "danger", "aria-label": `Remove key ${id}`, data: { key: `remove-${id}` }, on: { click: () => removeKey(id) } }, "Remove")) },
    ];
    const add = h("button", { type: "button", data: { key: "add-key" }, on: { click: addKey } }, "Add a key");
    return h("section", { class: "card" }, h("header", {}, h("h2", {}, "Keys"), add), rows.length ? dataTable("Keys", columns, rows) : emptyState("No keys", "This client can sign in with Entra only."));
  }

  function hooks() {
    const columns = [
      { name: "URL", cell: ({ url }) => h("span", { class: "wide" }, url) },
      { name: "State", cell: stateOf },
      { name: "Note", cell: ({ note }) => note ?? "–" },
      { name: "Created", kind: "tight", cell: ({ created_at: at }) => moment(at) },
      { name: "", kind: "tight", cell: (hook) => h("div", { class: "actions" }, h("button", { type: "button", class: "danger", "aria-label": `Delete webhook ${hook.url}`, data: { key: `delete-${hook.id}` }, on: { click: () => removeWebhook(hook) } }, "Delete")) },
    ];
    return h("section", { class: "card" }, h("header", {}, h("h2", {}, "Webhooks")), webhooks.length ? dataTable("Webhooks", columns, webhooks) : emptyState("No webhooks", "This client has its events posted nowhere."));
  }

  async function removeWebhook({ id, url }) {
    const run = async () => {
      await call("DELETE", `${path}/webhooks/${id}`);
      await load();
      return "The webhook was deleted. It gets no more posts after 30 seconds.";
    };
    await openDialog({ title: "Delete this webhook?", text: `Events are no longer posted to ${url}.`, action: "Delete", isDanger: true, run });
  }

  async function addKey() {
    const role = field({ name: "role", label: "Role", options: [["", "The client's role"], ...ROLES] });
    const lifetime = field({ name: "expires_in_seconds", label: "Expires", options: KEY_LIFETIMES });
    let created = null;
    const run = async () => {
      const body = { ...(role.read() && { role: role.read() }), ...(lifetime.read() && { expires_in_seconds: Number(lifetime.read()) }) };
      created = await call("POST", `${path}/keys`, { body });
    };
    await openDialog({ title: `Add a key for ${name}`, text: "Two keys of a role can be active at once, so that the application can switch without downtime.", action: "Add", fields: [role, lifetime], run });
    if (created === null) return;
    await load();
    await showSecret({ title: "New key", text: "Copy it now. Relay stores only a digest and cannot show it again.", secret: created.key });
  }

  async function removeKey(id) {
    const run = async () => {
      await call("DELETE", `${path}/keys/${id}`);
      await load();
      return `Key ${id} was removed. It stops working within 30 seconds.`;
    };
    await openDialog({ title: "Remove this key?", text: `Calls with relay_${id}_… will be refused.`, action: "Remove", isDanger: true, run });
  }
}
