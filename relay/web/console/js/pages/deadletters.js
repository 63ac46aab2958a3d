/**
 * What Relay gave up on, by cause.
 */

import { get } from "../api.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { failed, heading, list, loading, nothing } from "../parts.js";
import { attention } from "../shell.js";
import { number } from "../words.js";
import { redriveLost } from "./lost.js";
import { discardAll, redriveAll } from "./redriving.js";

export async function show({ room, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const lost = h("button", { type: "button", data: { key: "lost" }, on: { click: () => redriveLost(() => again()) } }, "Send lost mail again");
  room.append(...heading("Dead letters", { actions: [lost], text: "Messages that Relay gave up on. Mend the cause, then put them back: nothing is gone until the retention ends." }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let known = null;
  const again = live({
    signal,
    load: () => get("/v1/deadletters", signal),
    draw({ value }) {
      known = value;
      attention("deadletters", value.reduce((sum, each) => sum + each.count, 0));
      redraw(place, value.length ? causes(value, again) : nothing("No dead letters", "Every message was sent, or is still on its way."));
    },
    fail: (error) => known === null && redraw(place, failed(error, again)),
  });
}

function causes(value, again) {
  const columns = [
    { name: "Cause", cell: ({ code }) => h("a", { href: `#/deadletters/${code}`, data: { key: `open-${code}` } }, code) },
    { name: "Meaning", cell: ({ meaning }) => meaning },
    { name: "Messages", kind: "number", cell: ({ count: many }) => number(many) },
    { name: "", kind: "tight", cell: ({ code, count: many }) => h("div", { class: "actions" }, redriveAll(code, many, again), discardAll(code, many, again)) },
  ];
  return list("Dead letters by cause", columns, [...value].sort((one, other) => other.count - one.count));
}
