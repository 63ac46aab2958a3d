/**
 * The timers' steps: when each last ran, what it left, and a button that runs it now.
 */

import { call, get } from "../api.js";
import { button, card, dataTable, errorState } from "../components.js";
import { h, redraw } from "../dom.js";
import { ago, humanize, number } from "../format.js";
import { t } from "../i18n.js";
import { poll } from "../poll.js";

/** Make the card, which keeps itself up to date. */
export function timers(signal) {
  const place = h("div");
  let loaded = null;
  const refresh = poll({
    signal,
    load: async () => (await get("/v1/timers", signal)).value,
    draw(steps) {
      loaded = steps;
      redraw(place, table(steps, refresh));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
  return card(t("timers.title"), place);
}

function table(steps, refresh) {
  const columns = [
    { name: t("timers.step"), cell: ({ name }) => name },
    { name: t("timers.lastRun"), cell: ({ last_run: last }) => (last ? ago(last.at) : t("timers.never")) },
    { name: t("timers.done"), kind: "number", cell: ({ last_run: last }) => (last ? number(last.done) : "–") },
    { name: t("timers.result"), cell: ({ last_run: last }) => (last ? result(last) : "–") },
    { name: "", cell: ({ name }) => button(t("timers.run"), () => runNow(name, refresh), { key: `run-${name}`, label: t("timers.runName", { name }) }) },
  ];
  return dataTable(t("timers.caption"), columns, steps);
}

async function runNow(name, refresh) {
  const last = await call("POST", `/v1/timers/${encodeURIComponent(name)}/run`);
  refresh();
  return t("timers.ran", { name, done: last.done, result: result(last) });
}

function result({ error, is_complete: isComplete }) {
  if (error) return t("timers.failed", { error: humanize(error) });
  return isComplete ? t("timers.complete") : t("timers.left");
}
