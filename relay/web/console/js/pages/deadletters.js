/**
 * Dead letters by cause.
 */

import { get } from "../api.js";
import { meaningOf } from "../causes.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { h, redraw } from "../dom.js";
import { number } from "../format.js";
import { t } from "../i18n.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";
import { setCount } from "../shell.js";
import { discardAll, redriveAll } from "./redrive.js";
import { resendLost } from "./resend-lost.js";

export async function show({ main, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const resend = h("button", { type: "button", data: { key: "resend-lost" }, on: { click: () => resendLost(() => refresh()) } }, t("lost.title"));
  main.append(...heading(t("page.deadletters"), { actions: [may("RedriveLostMail") && resend].filter(Boolean), text: t("deadletters.text") }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    load: () => get("/v1/deadletters", signal),
    draw({ value }) {
      loaded = value;
      setCount("deadletters", value.reduce((sum, each) => sum + each.count, 0));
      redraw(place, value.length ? causes(value, refresh) : emptyState(t("deadletters.none"), t("deadletters.noneText")));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

function causes(value, refresh) {
  const columns = [
    { name: t("field.cause"), cell: ({ code }) => h("a", { class: "wide", href: `#/deadletters/${code}`, data: { key: `open-${code}` } }, code) },
    { name: t("field.meaning"), cell: ({ code, meaning }) => meaningOf(code, meaning) },
    { name: t("page.messages"), kind: "number", cell: ({ count: total }) => number(total) },
    { name: "", kind: "tight", cell: ({ code, count: total }) => h("div", { class: "actions" }, redriveAll(code, total, refresh), discardAll(code, total, refresh)) },
  ];
  return dataTable(t("deadletters.byCause"), columns, [...value].sort((one, other) => other.count - one.count));
}
