/**
 * The timers' steps: when each last ran, what it left, and a button that runs it now.
 */

import { call, get } from "../api.js";
import { button, card, dataTable, errorState } from "../components.js";
import { h, redraw } from "../dom.js";
import { ago, humanize, number } from "../format.js";
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
  return card("Timers", place);
}

function table(steps, refresh) {
  const columns = [
    { name: "Step", cell: ({ name }) => name },
    { name: "Last run", cell: ({ last_run: last }) => (last ? ago(last.at) : "Never") },
    { name: "Done", kind: "number", cell: ({ last_run: last }) => (last ? number(last.done) : "–") },
    { name: "Result", cell: ({ last_run: last }) => (last ? result(last) : "–") },
    { name: "", cell: ({ name }) => button("Run now", () => runNow(name, refresh), { key: `run-${name}`, label: `Run now: ${name}` }) },
  ];
  return dataTable("Steps of the timers", columns, steps);
}

async function runNow(name, refresh) {
  const last = await call("POST", `/v1/timers/${encodeURIComponent(name)}/run`);
  refresh();
  return `${name}: ${number(last.done)} done. ${result(last)}.`;
}

function result({ error, is_complete: isComplete }) {
  if (error) return `Failed: ${humanize(error)}`;
  return isComplete ? "Complete" : "Work left";
}
