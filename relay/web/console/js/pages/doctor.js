/**
 * Results of the doctor: each problem, why it matters, and how to fix it. Below them the steps of the timers.
 */

import { get } from "../api.js";
import { card, errorState, heading, loading, withCode } from "../components.js";
import { h, redraw } from "../dom.js";
import { badge, count, moment } from "../format.js";
import { runAction } from "../toasts.js";
import { timers } from "./timers.js";

const ORDER = ["fault", "warning", "ok"];
const SUMMARIES = { ok: "All checks passed.", warning: "Mail is sent, but some checks need attention.", fault: "A problem prevents sending or could lose mail." };

export async function show({ main, signal, focusTitle }) {
  const place = h("div", { class: "stack", "aria-live": "polite" }, loading("Running all checks"));
  const rerun = h("button", { type: "button", data: { key: "rerun" }, on: { click: () => runAction(rerun, run) } }, "Run again");
  main.append(...heading("Doctor", { actions: [rerun], text: "Checks settings, storage, keys, routes, and the DNS records of your sender domains. Sends no mail." }).filter(Boolean), place, timers(signal));
  focusTitle();
  await run();

  async function run() {
    try {
      const { health, value } = await get("/v1/doctor", signal);
      redraw(place, body(health, value));
    } catch (error) {
      if (error.name === "AbortError") return;
      redraw(place, errorState(error, run));
    }
  }
}

function body(health, findings) {
  const sorted = [...findings].sort((one, other) => ORDER.indexOf(one.health) - ORDER.indexOf(other.health));
  const wrong = findings.filter((each) => each.health !== "ok").length;
  const summary = h("p", { class: `notice ${{ ok: "calm", fault: "bad" }[health] ?? ""}` }, SUMMARIES[health], h("span", {}, `${count(wrong, "finding")} · `, moment(new Date().toISOString())));
  return [summary, card("Checks", h("ul", {}, sorted.map(finding)))];
}

function finding({ about, health, what, why, fix }) {
  return h("li", { class: "finding" }, badge(health), h("div", {},
    h("p", {}, h("strong", {}, about), " ", what),
    why && h("p", { class: "muted" }, withCode(why)),
    fix && h("p", {}, h("span", { class: "muted" }, "Fix: "), withCode(fix))));
}
