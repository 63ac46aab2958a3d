/**
 * Where events are posted: the web hooks of who is signed in.
 */

import { call, get } from "../api.js";
import { ask, field, several, show as showOnce } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { failed, heading, list, loading, nothing } from "../parts.js";
import { badge, moment, plain } from "../words.js";

export const KINDS = ["processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed"];
export const FORMATS = [["standard", "Standard: one JSON object"], ["cloudevents", "CloudEvents"]];

export async function show({ room, me, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: () => create(() => again()) } }, "New web hook");
  room.append(...heading("Web hooks", { actions: [add], text: `Those of ${me.name}: a client subscribes to the events of its own messages.` }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let known = null;
  const again = live({
    signal,
    seconds: 15,
    load: () => get("/v1/webhooks", signal),
    draw({ value }) {
      known = value;
      redraw(place, value.length ? table(value) : nothing("No web hooks", "Whoever wants to know of bounces and deliveries subscribes an https address."));
    },
    fail: (error) => known === null && redraw(place, failed(error, again)),
  });
}

/** The state of a subscription as a badge. */
export function stateOf({ is_enabled: isOn, failing_since: failing }) {
  if (!isOn) return badge("disabled");
  return failing ? badge("warning", "failing") : badge("enabled");
}

function table(rows) {
  return list("Web hooks", [
    { name: "Address", cell: ({ id, url }) => h("a", { class: "wide", href: `#/webhooks/${id}`, data: { key: `open-${id}` } }, url) },
    { name: "State", cell: stateOf },
    { name: "Events", cell: ({ events }) => (events.length ? events.map(plain).join(", ") : "all") },
    { name: "Note", cell: ({ note }) => note ?? "–" },
    { name: "Since", kind: "tight", cell: ({ created_at: at }) => moment(at) },
  ], rows);
}

async function create(done) {
  const url = field({ name: "url", label: "Address", type: "url", placeholder: "https://…", required: true });
  const events = several({ name: "events", label: "Events", hint: "None chosen: all.", options: KINDS.map((each) => [each, plain(each)]), chosen: ["delivered", "bounced", "complained"] });
  const format = field({ name: "format", label: "Form", options: FORMATS });
  const note = field({ name: "note", label: "Note" });
  let made = null;
  const run = async () => {
    made = await call("POST", "/v1/webhooks", { body: { url: url.read(), events: events.read(), format: format.read(), ...(note.read() && { note: note.read() }) } });
  };
  await ask({ title: "New web hook", action: "Subscribe", fields: [url, events, format, note], run });
  if (made === null) return;
  done();
  await showOnce({ title: "The signing secret", text: "The receiver checks signatures with it. Copy it now: it is not shown again.", secret: made.secret });
}
