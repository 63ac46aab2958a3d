/**
 * What became of what was accepted, step by step: bars that can be read with the pointer, with arrow keys, or as a table.
 */

import { h, svg } from "./dom.js";
import { list } from "./parts.js";
import { count, number, plain, tick } from "./words.js";

export const GROUPS = ["sent", "moving", "deferred", "held", "failed", "cancelled"];
const HEIGHT = 100;
const GAP = 0.22;

/** The chart of an overview. Keeps `chosen`, the step that is read out, over a redraw. */
export function chart(overview, chosen, choose) {
  const { points, span, step_seconds: step } = overview;
  const most = Math.max(1, ...points.map(({ accepted }) => accepted));
  const bars = points.map((point, at) => bar(point, at, most, at === chosen, choose));
  const label = `${count(overview.totals.accepted, "message")} accepted, at most ${number(most)} in one step. Arrow keys read the steps.`;
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${points.length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label, tabindex: "0", "data-key": "chart" },
    svg("rect", { class: "floor", x: 0, y: HEIGHT - 0.6, width: points.length, height: 0.6 }), bars);
  picture.addEventListener("pointerleave", () => choose(null));
  picture.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -points.length, End: points.length }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    choose(Math.min(points.length - 1, Math.max(0, (chosen ?? points.length) + move)));
  });
  const marks = [0, Math.floor(points.length / 2), points.length - 1].map((at) => h("span", {}, tick(points[at].at, span)));
  return h("div", {},
    h("p", { class: "readout", "aria-live": "polite" }, readout(overview, chosen, step)),
    h("div", { class: "chart-frame" }, h("span", { class: "most" }, number(most)), picture),
    h("div", { class: "axis", "aria-hidden": "true" }, marks),
    table(overview));
}

function bar(point, at, most, isChosen, choose) {
  let top = HEIGHT;
  const pieces = GROUPS.filter((group) => point[group] > 0).map((group) => {
    const height = Math.max(0.8, (point[group] / most) * (HEIGHT - 2));
    top -= height;
    return svg("rect", { class: group, x: at + GAP / 2, y: Math.max(0, top), width: 1 - GAP, height });
  });
  const hit = svg("rect", { class: isChosen ? "hit chosen" : "hit", x: at, y: 0, width: 1, height: HEIGHT });
  hit.addEventListener("pointerenter", () => choose(at));
  return [pieces, hit];
}

function readout({ points, span, share, counted_until: until, until: end }, chosen, step) {
  if (chosen === null || !points[chosen]) {
    if (until !== end) return `Too busy to count all of it: these are the steps until ${tick(until, span)}. A shorter span shows the latest.`;
    return share < 1 ? `Estimated from ${Math.round(share * 100)} % of the messages.` : "By the time of acceptance, and where each message stands now.";
  }
  const point = points[chosen];
  const ending = new Date(new Date(point.at).getTime() + step * 1000);
  const parts = GROUPS.filter((group) => point[group]).map((group) => `${number(point[group])} ${plain(group)}`);
  return `${tick(point.at, span)} – ${tick(ending, span)}: ${number(point.accepted)} accepted${parts.length ? ` · ${parts.join(" · ")}` : ""}`;
}

function table({ points, span }) {
  const rows = points.filter(({ accepted }) => accepted).reverse();
  const columns = [{ name: "From", cell: ({ at }) => tick(at, span) }, ...["accepted", ...GROUPS].map((group) => ({ name: plain(group), kind: "number", cell: (point) => number(point[group]) }))];
  return h("details", { "data-key": "chart-table" }, h("summary", {}, "As a table"), rows.length ? list("Messages by time", columns, rows) : h("p", { class: "muted" }, "Nothing was accepted."));
}
