/**
 * List of templates.
 */

import { CallFailed, get } from "../api.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { moment, number } from "../format.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export async function show({ main, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: create } }, "New template");
  main.append(...heading("Templates", { actions: [may("PutTemplate") && add].filter(Boolean), text: "Rendered when a message is accepted: a later change does not affect it." }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => get("/v1/templates", signal),
    draw({ value }) {
      loaded = value;
      redraw(place, value.length ? table(value) : emptyState("No templates", "A message can name a template instead of carrying its own text."));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

function table(rows) {
  return dataTable("Templates", [
    { name: "Name", cell: ({ name }) => h("a", { href: `#/templates/${encodeURIComponent(name)}`, data: { key: `open-${name}` } }, name) },
    { name: "Version", kind: "number", cell: ({ version }) => number(version) },
    { name: "Saved", kind: "tight", cell: ({ created_at: at }) => moment(at) },
  ], rows);
}

async function create() {
  const name = field({ name: "name", label: "Name", hint: "Lowercase letters, digits, - and _.", required: true });
  await openDialog({
    title: "New template",
    action: "Create",
    fields: [name],
    run: async () => {
      if (!NAME.test(name.read())) throw new CallFailed({ status: 0, code: "invalid_value", message: "A name consists of lowercase letters, digits, - and _." });
      location.hash = `#/templates/${name.read()}`;
    },
  });
}
