/**
 * Who may call.
 */

import { call, get } from "../api.js";
import { ask, field, show as showOnce } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { failed, heading, list, loading, nothing } from "../parts.js";
import { ago, badge, number } from "../words.js";

export async function show({ room, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: () => create(() => again()) } }, "New client");
  room.append(...heading("Clients", { actions: [add], text: "The applications that may send, and the operators." }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let known = null;
  const again = live({
    signal,
    seconds: 15,
    load: () => get("/v1/clients", signal),
    draw({ value }) {
      known = value;
      redraw(place, value.length ? table(value) : nothing("No clients", "Nobody may call yet."));
    },
    fail: (error) => known === null && redraw(place, failed(error, again)),
  });
}

function table(rows) {
  return list("Clients", [
    { name: "Name", cell: ({ name }) => h("a", { href: `#/clients/${name}`, data: { key: `open-${name}` } }, name) },
    { name: "Role", cell: ({ role }) => role },
    { name: "State", cell: ({ is_disabled: isOff }) => (isOff ? badge("cancelled", "disabled") : badge("active")) },
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
  const parts = [rate && `${number(rate)} a minute`, quota && `${number(quota)} a day`, redirect && "redirected"].filter(Boolean);
  return parts.join(", ") || h("span", { class: "muted" }, "none");
}

async function create(done) {
  const name = field({ name: "name", label: "Name", hint: "Lower-case letters, digits and dashes.", required: true });
  const role = field({ name: "role", label: "Role", options: [["client", "Client: sends, and reads its own messages"], ["operator", "Operator: sees and mends everything"]], value: "client" });
  let made = null;
  await ask({
    title: "New client",
    action: "Create",
    fields: [name, role],
    run: async () => {
      made = await call("POST", "/v1/clients", { body: { name: name.read(), role: role.read() } });
      return `${made.name} was created.`;
    },
  });
  if (made === null) return;
  done();
  await showOnce({ title: `The key of ${made.name}`, text: "Copy it now: Relay keeps only a digest and cannot show it again.", secret: made.key });
}
