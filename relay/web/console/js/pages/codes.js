/**
 * Codes of attempts, held routes and dead letters: what each means, and what to do.
 */

import { loadCauses } from "../causes.js";
import { card, dataTable, definitions, emptyState, heading, withCode } from "../components.js";
import { h } from "../dom.js";
import { t } from "../i18n.js";

/** Show all codes. */
export async function list({ main, signal, focusTitle }) {
  const causes = Object.entries(await loadCauses(signal)).map(([code, cause]) => ({ code, ...cause }));
  main.append(...heading(t("page.codes"), { text: t("codes.text") }).filter(Boolean), h("div", { class: "card" }, dataTable(t("page.codes"), [
    { name: t("field.code"), cell: ({ code }) => h("a", { class: "wide", href: `#/codes/${code}` }, h("code", {}, code)) },
    { name: t("field.meaning"), cell: ({ meaning }) => meaning },
    { name: t("field.whatToDo"), cell: ({ fix }) => h("span", { class: "wide" }, withCode(fix)) },
  ], causes)));
  focusTitle();
}

/** Show one code. */
export async function show({ main, one: code, signal, focusTitle }) {
  const cause = (await loadCauses(signal))[code];
  const text = cause
    ? h("div", { class: "inside" }, definitions([t("field.meaning"), cause.meaning], [t("field.whatToDo"), withCode(cause.fix)], [t("codes.more"), h("a", { href: `#/deadletters/${code}` }, t("codes.deadLetters"))]))
    : emptyState(t("codes.unknown"), t("codes.unknownText"));
  main.append(...heading(code, { crumb: [t("page.codes"), "#/codes"] }).filter(Boolean), card(t("codes.explanation"), text));
  focusTitle();
}
