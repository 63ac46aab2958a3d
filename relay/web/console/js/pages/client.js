/**
 * One client: its keys, its policy, and its end.
 */

import { call, get } from "../api.js";
import { ask, field, show as showOnce } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { button, card, facts, failed, heading, list, loading, nothing } from "../parts.js";
import { ago, badge, moment } from "../words.js";
import { policyForm } from "./policy.js";

const KEY_LASTS = [["", "Never"], ["3600", "In an hour"], ["2592000", "In 30 days"], ["31536000", "In a year"]];

export async function show({ room, one: name, me, signal, focusTitle }) {
  const path = `/v1/clients/${encodeURIComponent(name)}`;
  const place = h("div", { class: "stack" }, loading());
  const tools = h("div", { class: "actions" });
  room.append(...heading(name, { actions: [tools], crumb: ["Clients", "#/clients"] }).filter(Boolean), place);
  focusTitle();
  await load();

  async function load() {
    try {
      draw(await get(path, signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      redraw(place, failed(error, load));
    }
  }

  function draw(client) {
    redraw(tools, toggle(client), name !== me.name && h("button", { type: "button", class: "danger", data: { key: "delete" }, on: { click: remove } }, "Delete"));
    redraw(place, about(client), keys(client), policyForm(client, async (policy) => {
      draw(await call("PATCH", path, { body: { policy } }));
      return "The policy is saved; instances follow within half a minute.";
    }));
  }

  function toggle({ is_disabled: isOff }) {
    const change = async () => {
      draw(await call("PATCH", path, { body: { is_disabled: !isOff } }));
      return isOff ? `${name} may call again.` : `${name} may not call any more.`;
    };
    return name === me.name ? null : button(isOff ? "Enable" : "Disable", change, { key: "toggle" });
  }

  async function remove() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/clients";
      return `${name} is gone.`;
    };
    await ask({ title: `Delete ${name}?`, text: "Its keys are useless at once. Its messages stay; only operators can ask about them any more.", action: "Delete", isDanger: true, run });
  }

  function about({ role, is_disabled: isOff, principals }) {
    return card("About", h("div", { class: "inside" }, facts(
      ["Role", role],
      ["State", isOff ? badge("cancelled", "disabled") : badge("active")],
      ["Signs in with Entra", principals.length ? principals.map((each) => h("div", {}, h("code", {}, each))) : "No: with keys only"],
    )));
  }

  function keys({ keys: rows }) {
    const columns = [
      { name: "Key", cell: ({ id }) => h("code", {}, `relay_${id}_…`) },
      { name: "Made", cell: ({ created_at: at }) => moment(at) },
      { name: "Last used", cell: ({ last_used_at: at }) => (at ? ago(at) : h("span", { class: "muted" }, "never")) },
      { name: "Expires", cell: ({ expires_at: at }) => (at ? moment(at) : h("span", { class: "muted" }, "never")) },
      { name: "", kind: "tight", cell: ({ id }) => h("div", { class: "actions" }, h("button", { type: "button", class: "danger", "aria-label": `Remove key ${id}`, data: { key: `remove-${id}` }, on: { click: () => removeKey(id) } }, "Remove")) },
    ];
    const add = h("button", { type: "button", data: { key: "add-key" }, on: { click: addKey } }, "Add a key");
    return h("section", { class: "card" }, h("header", {}, h("h2", {}, "Keys"), add), rows.length ? list("Keys", columns, rows) : nothing("No keys", "It can call with Entra only, if at all."));
  }

  async function addKey() {
    const lasts = field({ name: "expires_in_seconds", label: "Expires", options: KEY_LASTS });
    let made = null;
    const run = async () => {
      const body = lasts.read() ? { expires_in_seconds: Number(lasts.read()) } : {};
      made = await call("POST", `${path}/keys`, { body });
    };
    await ask({ title: `Another key for ${name}`, text: "Two may be active at once, so that the application can change over.", action: "Add", fields: [lasts], run });
    if (made === null) return;
    await load();
    await showOnce({ title: "The new key", text: "Copy it now: Relay keeps only a digest and cannot show it again.", secret: made.key });
  }

  async function removeKey(id) {
    const run = async () => {
      await call("DELETE", `${path}/keys/${id}`);
      await load();
      return `Key ${id} is useless within half a minute.`;
    };
    await ask({ title: "Remove this key?", text: `Who still calls with relay_${id}_… is refused.`, action: "Remove", isDanger: true, run });
  }
}
