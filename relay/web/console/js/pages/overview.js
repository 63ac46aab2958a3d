/**
 * How the relay is, at one look.
 */

import { get } from "../api.js";
import { GROUPS, chart } from "../chart.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { card, choices, failed, heading, list, loading } from "../parts.js";
import { attention } from "../shell.js";
import { ago, badge, count, duration, number, plain } from "../words.js";

const SPANS = [["hour", "Hour"], ["day", "Day"], ["week", "Week"]];

export async function show({ room, query, signal, focusTitle }) {
  let span = SPANS.some(([name]) => name === query.get("span")) ? query.get("span") : "hour";
  let chosen = null;
  let overview = null;
  const place = h("div", {}, loading());
  const head = h("div");
  room.append(head, place);
  const drawHead = () => redraw(head, heading("Overview", { actions: [choices("Span", SPANS, span, chooseSpan)] }));
  const draw = () => redraw(place, body(overview, chosen, choose));
  const again = live({
    signal,
    seconds: 10,
    load: () => get(`/v1/overview?span=${span}`, signal),
    draw(told) {
      overview = told;
      tellBar(told);
      draw();
    },
    fail(error) {
      if (overview === null || overview.span !== span) redraw(place, failed(error, again));
    },
  });

  function chooseSpan(next) {
    span = next;
    chosen = null;
    history.replaceState(null, "", `#/?span=${span}`);
    drawHead();
    again();
  }

  function choose(at) {
    if (at === chosen) return;
    chosen = at;
    draw();
  }

  drawHead();
  focusTitle();
}

function tellBar({ dead_letters: letters, routes }) {
  attention("deadletters", letters.count, { isMore: letters.is_more });
  attention("routes", routes.filter(({ holds }) => holds.length).length);
}

function body(overview, chosen, choose) {
  return [
    troubles(overview),
    tiles(overview),
    h("section", { class: "card" }, h("header", {}, h("h2", {}, "Messages by time")), h("div", { class: "inside" }, chart(overview, chosen, choose))),
    h("div", { class: "side-by-side" }, lanes(overview.lanes), routes(overview.routes)),
  ];
}

/** What somebody should look at, first; nothing when there is nothing. */
function troubles({ routes, dead_letters: letters, lanes }) {
  const found = [];
  const held = routes.filter(({ state }) => state !== "active");
  const poisoned = lanes.reduce((sum, lane) => sum + lane.poisoned, 0);
  for (const { name, holds } of held) found.push([`Route ${name} is held: ${plain(holds[0]?.code ?? "held")}. Its mail waits and loses nothing.`, "#/routes", "Routes", "held"]);
  if (letters.count) found.push([`${count(letters.count, "message")}${letters.is_more ? " or more" : ""} could not be sent.`, "#/deadletters", "Dead letters", "bad"]);
  if (poisoned) found.push([`${count(poisoned, "queue entry", "queue entries")} on a poison queue: each becomes a dead letter soon.`, "#/deadletters", "Dead letters", "bad"]);
  if (!found.length) return h("p", { class: "attention calm" }, "Nothing needs attention.");
  return h("ul", { class: "attention card", "aria-label": "Needs attention" }, found.map(([text, href, link, look]) => h("li", { class: look }, h("span", {}, text), h("a", { href, data: { key: `go-${href}-${look}` } }, link))));
}

function tiles({ totals, median_seconds: median, p95_seconds: late }) {
  const tile = (name, value, group) => h("div", { class: "tile" }, h("dt", {}, group && h("span", { class: `swatch ${group}` }), name), h("dd", {}, value));
  return h("dl", { class: "tiles" },
    tile("Accepted", number(totals.accepted)),
    GROUPS.filter((group) => group !== "cancelled" || totals.cancelled).map((group) => tile(name(group), number(totals[group]), group)),
    median != null && tile("Until sent", h("span", { title: `95 % within ${duration(late)}` }, duration(median))));
}

function name(group) {
  return group[0].toUpperCase() + group.slice(1);
}

function lanes(rows) {
  const columns = [
    { name: "Lane", cell: (lane) => lane.name },
    { name: "Waiting", kind: "number", cell: (lane) => number(lane.entries) },
    { name: "Oldest", kind: "number", cell: (lane) => (lane.entries ? duration(lane.oldest_seconds) : "–") },
    { name: "Poison", kind: "number", cell: (lane) => (lane.poisoned ? badge("failed", number(lane.poisoned)) : "–") },
  ];
  return card("Queues", list("Queues by lane", columns, rows));
}

function routes(rows) {
  const columns = [
    { name: "Route", cell: (route) => h("a", { href: "#/routes" }, route.name) },
    { name: "State", cell: (route) => badge(route.state) },
    { name: "Reason", cell: (route) => (route.holds.length ? plain(route.holds[0].code) : "–") },
    { name: "Next probe", cell: (route) => ago(route.holds[0]?.next_probe_at) },
  ];
  return card("Routes", list("Routes", columns, rows));
}
