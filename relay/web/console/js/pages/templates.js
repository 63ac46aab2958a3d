/**
 * Stored templates.
 */

import { CallFailed, get } from "../api.js";
import { ask, field } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { failed, heading, list, loading, nothing } from "../parts.js";
import { moment, number } from "../words.js";

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export async function show({ room, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: begin } }, "New template");
  room.append(...heading("Templates", { actions: [add], text: "Filled in when a message is accepted: what is durable is what is sent." }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let known = null;
  const again = live({
    signal,
    seconds: 15,
    load: () => get("/v1/templates", signal),
    draw({ value }) {
      known = value;
      redraw(place, value.length ? table(value) : nothing("No templates", "A message may name one instead of bringing its own text."));
    },
    fail: (error) => known === null && redraw(place, failed(error, again)),
  });
}

function table(rows) {
  return list("Templates", [
    { name: "Name", cell: ({ name }) => h("a", { href: `#/templates/${encodeURIComponent(name)}`, data: { key: `open-${name}` } }, name) },
    { name: "Version", kind: "number", cell: ({ version }) => number(version) },
    { name: "Since", kind: "tight", cell: ({ created_at: at }) => moment(at) },
  ], rows);
}

async function begin() {
  const name = field({ name: "name", label: "Name", hint: "Lower-case letters, digits, - and _.", required: true });
  await ask({
    title: "New template",
    action: "Write it",
    fields: [name],
    run: async () => {
      if (!NAME.test(name.read())) throw new CallFailed({ status: 0, code: "invalid_value", message: "A name is lower-case letters, digits, - and _." });
      location.hash = `#/templates/${name.read()}`;
    },
  });
}
