/**
 * Results of the doctor, in English as the API returns them: each problem, why it matters, and how to fix it. Below them the steps of the timers.
 */

import { get } from "../api.js";
import { card, errorState, heading, loading, withCode } from "../components.js";
import { h, redraw } from "../dom.js";
import { badge, moment } from "../format.js";
import { pieces, t } from "../i18n.js";
import { runAction } from "../toasts.js";
import { timers } from "./timers.js";

const ORDER = ["fault", "warning", "ok"];
const SUMMARIES = { ok: t("doctor.ok"), warning: t("doctor.warning"), fault: t("doctor.fault") };

export async function show({ main, signal, focusTitle }) {
  const place = h("div", { class: "stack", "aria-live": "polite" }, loading(t("doctor.running")));
  const rerun = h("button", { type: "button", data: { key: "rerun" }, on: { click: () => runAction(rerun, run) } }, t("doctor.again"));
  main.append(...heading(t("page.doctor"), { actions: [rerun], text: t("doctor.text") }).filter(Boolean), h("div", { class: "stack" }, place, timers(signal)));
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
  const summary = h("p", { class: `notice ${{ ok: "calm", fault: "bad" }[health] ?? ""}` }, SUMMARIES[health], h("span", {}, `${t("doctor.findings", { count: wrong })} · `, moment(new Date().toISOString())));
  return [summary, card(t("doctor.checks"), h("ul", {}, sorted.map(finding)))];
}

function finding({ about, health, what, why, fix }) {
  return h("li", { class: "finding" }, badge(health), h("div", {},
    h("p", { lang: "en" }, h("strong", {}, about), " ", what),
    why && h("p", { class: "muted", lang: "en" }, withCode(why)),
    fix && h("p", {}, pieces("doctor.fix", { text: h("span", { lang: "en" }, withCode(fix)) }))));
}
