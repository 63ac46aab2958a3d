/**
 * Bar chart of accepted messages by time and current state. Read it with the pointer, with arrow keys, or as a table.
 */

import { dataTable } from "./components.js";
import { h, svg } from "./dom.js";
import { axisTime, humanize, number, percent } from "./format.js";
import { t } from "./i18n.js";

export const GROUPS = ["sent", "in_progress", "deferred", "held", "failed", "cancelled"];
const HEIGHT = 100;
const GAP = 0.22;

/** Draw the chart of an overview. `chosen` is the index of the interval in the readout; it survives a redraw. */
export function chart(overview, chosen, choose) {
  const { points, span, step_seconds: step } = overview;
  const max = Math.max(1, ...points.map(({ accepted }) => accepted));
  const bars = points.map((point, at) => bar(point, at, max, at === chosen, choose));
  const label = t("chart.label", { count: overview.totals.accepted, max });
  const picture = svg("svg", { class: "chart", viewBox: `0 0 ${points.length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label, tabindex: "0", "data-key": "chart" },
    svg("rect", { class: "floor", x: 0, y: HEIGHT - 0.6, width: points.length, height: 0.6 }), bars);
  picture.addEventListener("pointerleave", () => choose(null));
  picture.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -points.length, End: points.length }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    choose(Math.min(points.length - 1, Math.max(0, (chosen ?? points.length) + move)));
  });
  const marks = [0, Math.floor(points.length / 2), points.length - 1].map((at) => h("span", {}, axisTime(points[at].at, span)));
  return h("div", {},
    h("p", { class: "readout", "aria-live": "polite" }, readout(overview, chosen, step)),
    h("div", { class: "chart-frame" }, h("span", { class: "maximum" }, number(max)), picture),
    h("div", { class: "axis", "aria-hidden": "true" }, marks),
    table(overview));
}

function bar(point, at, max, isChosen, choose) {
  let top = HEIGHT;
  const pieces = GROUPS.filter((group) => point[group] > 0).map((group) => {
    const height = Math.max(0.8, (point[group] / max) * (HEIGHT - 2));
    top -= height;
    return svg("rect", { class: group, x: at + GAP / 2, y: Math.max(0, top), width: 1 - GAP, height });
  });
  const hit = svg("rect", { class: isChosen ? "hit chosen" : "hit", x: at, y: 0, width: 1, height: HEIGHT });
  hit.addEventListener("pointerenter", () => choose(at));
  return [pieces, hit];
}

function readout({ points, span, share, counted_until: until, until: end }, chosen, step) {
  if (chosen === null || !points[chosen]) {
    if (until !== end) return t("chart.cut", { time: axisTime(until, span) });
    return share < 1 ? t("chart.sample", { share: percent(share) }) : t("chart.explanation");
  }
  const point = points[chosen];
  const ending = new Date(new Date(point.at).getTime() + step * 1000);
  const parts = GROUPS.filter((group) => point[group]).map((group) => t("chart.group", { count: point[group], group: humanize(group) }));
  return [t("chart.readout", { from: axisTime(point.at, span), to: axisTime(ending, span), accepted: point.accepted }), ...parts].join(" · ");
}

function table({ points, span }) {
  const rows = points.filter(({ accepted }) => accepted).reverse();
  const columns = [{ name: t("chart.from"), cell: ({ at }) => axisTime(at, span) }, ...["accepted", ...GROUPS].map((group) => ({ name: humanize(group), kind: "number", cell: (point) => number(point[group]) }))];
  return h("details", { "data-key": "chart-table" }, h("summary", {}, t("chart.asTable")), rows.length ? dataTable(t("overview.chart"), columns, rows) : h("p", { class: "muted" }, t("chart.empty")));
}
