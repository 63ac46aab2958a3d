/**
 * Codes of attempts, held routes and dead letters: what each means, and what to do.
 */

import { loadCauses } from "../causes.js";
import { card, dataTable, definitions, emptyState, heading, withCode } from "../components.js";
import { h } from "../dom.js";

/** Show all codes. */
export async function list({ main, signal, focusTitle }) {
  const causes = Object.entries(await loadCauses(signal)).map(([code, cause]) => ({ code, ...cause }));
  main.append(...heading("Codes", { text: "The code of an attempt, a held route or a dead letter." }).filter(Boolean), h("div", { class: "card" }, dataTable("Codes", [
    { name: "Code", cell: ({ code }) => h("a", { href: `#/codes/${code}` }, h("code", {}, code)) },
    { name: "Meaning", cell: ({ meaning }) => meaning },
    { name: "What to do", cell: ({ fix }) => h("span", { class: "wide" }, withCode(fix)) },
  ], causes)));
  focusTitle();
}

/** Show one code. */
export async function show({ main, one: code, signal, focusTitle }) {
  const cause = (await loadCauses(signal))[code];
  const text = cause
    ? h("div", { class: "inside" }, definitions(["Meaning", cause.meaning], ["What to do", withCode(cause.fix)], ["More", h("a", { href: `#/deadletters/${code}` }, "Dead letters with this code")]))
    : emptyState("Unknown code", "This version of Relay has no such code.");
  main.append(...heading(code, { crumb: ["Codes", "#/codes"] }).filter(Boolean), card("Explanation", text));
  focusTitle();
}
