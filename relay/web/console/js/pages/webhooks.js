/**
 * Webhooks of the signed-in client.
 */

import { call, get } from "../api.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { checkboxGroup, field, openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, humanize, moment } from "../format.js";
import { poll } from "../poll.js";

export const KINDS = ["processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed", "replied", "auto_replied"];
export const FORMATS = [["standard", "Standard: one JSON object"], ["cloudevents", "CloudEvents"]];

export async function show({ main, me, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: () => create(() => refresh()) } }, "New webhook");
  main.append(...heading("Webhooks", { actions: [add], text: `Webhooks of ${me.name}. A client receives the events of its own messages.` }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => get("/v1/webhooks", signal),
    draw({ value }) {
      loaded = value;
      redraw(place, value.length ? table(value) : emptyState("No webhooks", "Create one to receive bounces and deliveries at an HTTPS URL."));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

/** Make the badge of a webhook's state. */
export function stateOf({ is_enabled: isOn, failing_since: failing }) {
  if (!isOn) return badge("disabled");
  return failing ? badge("warning", "failing") : badge("enabled");
}

function table(rows) {
  return dataTable("Webhooks", [
    { name: "URL", cell: ({ id, url }) => h("a", { class: "wide", href: `#/webhooks/${id}`, data: { key: `open-${id}` } }, url) },
    { name: "State", cell: stateOf },
    { name: "Events", cell: ({ events }) => (events.length ? events.map(humanize).join(", ") : "all") },
    { name: "Note", cell: ({ note }) => note ?? "–" },
    { name: "Created", kind: "tight", cell: ({ created_at: at }) => moment(at) },
  ], rows);
}

async function create(done) {
  const url = field({ name: "url", label: "URL", type: "url", placeholder: "https://…", required: true });
  const events = checkboxGroup({ name: "events", label: "Events", hint: "None selected: all.", options: KINDS.map((each) => [each, humanize(each)]), chosen: ["delivered", "bounced", "complained"] });
  const format = field({ name: "format", label: "Format", options: FORMATS });
  const note = field({ name: "note", label: "Note" });
  let created = null;
  const run = async () => {
    created = await call("POST", "/v1/webhooks", { body: { url: url.read(), events: events.read(), format: format.read(), ...(note.read() && { note: note.read() }) } });
  };
  await openDialog({ title: "New webhook", action: "Create", fields: [url, events, format, note], run });
  if (created === null) return;
  done();
  await showSecret({ title: "Signing secret", text: "The receiver verifies signatures with it. Copy it now. It is not shown again.", secret: created.secret });
}
