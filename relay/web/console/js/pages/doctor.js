/**
 * Everything a relay needs, looked at: what is wrong, why it matters, how to fix it.
 */

import { get } from "../api.js";
import { h, redraw } from "../dom.js";
import { act } from "../told.js";
import { card, failed, heading, loading, prose } from "../parts.js";
import { badge, count, moment } from "../words.js";

const ORDER = ["fault", "warning", "ok"];
const SAID = { ok: "All is well.", warning: "Mail leaves; something should be mended.", fault: "Something keeps mail from leaving, or could lose it." };

export async function show({ room, signal, focusTitle }) {
  const place = h("div", { class: "stack", "aria-live": "polite" }, loading("Looking at everything"));
  const again = h("button", { type: "button", data: { key: "again" }, on: { click: () => act(again, examine) } }, "Look again");
  room.append(...heading("Doctor", { actions: [again], text: "Settings, storage, keys, routes, and the DNS of your senders. It sends no mail." }).filter(Boolean), place);
  focusTitle();
  await examine();

  async function examine() {
    try {
      const { health, value } = await get("/v1/doctor", signal);
      redraw(place, body(health, value));
    } catch (error) {
      if (error.name === "AbortError") return;
      redraw(place, failed(error, examine));
    }
  }
}

function body(health, findings) {
  const sorted = [...findings].sort((one, other) => ORDER.indexOf(one.health) - ORDER.indexOf(other.health));
  const wrong = findings.filter((each) => each.health !== "ok").length;
  const summary = h("p", { class: `notice ${{ ok: "calm", fault: "bad" }[health] ?? ""}` }, SAID[health], h("span", {}, `${count(wrong, "finding")} · `, moment(new Date().toISOString())));
  return [summary, card("What was looked at", h("ul", {}, sorted.map(one)))];
}

function one({ about, health, what, why, fix }) {
  return h("li", { class: "finding" }, badge(health), h("div", {},
    h("p", {}, h("strong", {}, about), " ", what),
    why && h("p", { class: "muted" }, prose(why)),
    fix && h("p", {}, h("span", { class: "muted" }, "Fix: "), prose(fix))));
}
