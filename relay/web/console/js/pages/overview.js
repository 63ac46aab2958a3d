/**
 * The overview: problems, totals, chart, queues, routes.
 */

import { get } from "../api.js";
import { chart, GROUPS } from "../chart.js";
import { card, dataTable, errorState, heading, loading, segmented } from "../components.js";
import { h, redraw } from "../dom.js";
import { ago, badge, count, duration, holdFigures, humanize, number } from "../format.js";
import { poll } from "../poll.js";
import { setCount } from "../shell.js";

const HOLD_STATES = { held: "held", trial: "on trial" };
/** The period of the list of messages that covers a span. */
const AGES = { hour: "3600", day: "", week: "604800" };
const SPANS = [["hour", "Hour"], ["day", "Day"], ["week", "Week"]];

export async function show({ main, query, signal, focusTitle }) {
  let span = SPANS.some(([name]) => name === query.get("span")) ? query.get("span") : "hour";
  let chosen = null;
  let overview = null;
  const place = h("div", {}, loading());
  const head = h("div");
  main.append(head, place);
  const drawHead = () => redraw(head, heading("Overview", { actions: [segmented("Span", SPANS, span, chooseSpan)] }));
  const draw = () => redraw(place, body(overview, chosen, choose));
  const refresh = poll({
    signal,
    seconds: 10,
    load: () => get(`/v1/overview?span=${span}`, signal),
    draw(result) {
      overview = result;
      updateCounts(result);
      draw();
    },
    fail(error) {
      if (overview === null || overview.span !== span) redraw(place, errorState(error, refresh));
    },
  });

  function chooseSpan(next) {
    span = next;
    chosen = null;
    history.replaceState(null, "", `#/?span=${span}`);
    drawHead();
    refresh();
  }

  function choose(at) {
    if (at === chosen) return;
    chosen = at;
    draw();
  }

  drawHead();
  focusTitle();
}

function updateCounts({ dead_letters: dead, routes }) {
  setCount("deadletters", dead.count, { isMore: dead.is_more });
  setCount("routes", routes.filter(({ holds }) => holds.length).length);
}

function body(overview, chosen, choose) {
  return [
    problems(overview),
    tiles(overview),
    h("section", { class: "card" }, h("header", {}, h("h2", {}, "Messages by time")), h("div", { class: "inside" }, chart(overview, chosen, choose))),
    h("div", { class: "side-by-side" }, lanes(overview.lanes), routes(overview.routes)),
  ];
}

/** List what needs attention. */
function problems({ at, routes, held_clients: held, dead_letters: dead, lanes, unreadable, span, arrivals, secrets }) {
  const found = [];
  const poisoned = lanes.reduce((sum, lane) => sum + lane.poisoned, 0);
  for (const { name, holds } of routes) for (const hold of holds) found.push([`Route ${name} is ${HOLD_STATES[hold.state]}${hold.sender ? ` for ${hold.sender}` : ""}: ${humanize(hold.code)}. Its mail waits; none is lost.`, "#/routes", "Routes", "held"]);
  for (const hold of held) found.push([`${hold.lanes === "all" ? "All mail" : "Bulk mail"} of ${hold.client} is held: ${holdFigures(hold)}. It waits; none is lost.`, `#/clients/${hold.client}`, "Client", "held"]);
  if (dead.count) found.push([`${count(dead.count, "message")}${dead.is_more ? " or more" : ""} could not be sent.`, "#/deadletters", "Dead letters", "bad"]);
  if (poisoned) found.push([`${count(poisoned, "queue entry", "queue entries")} on a poison queue; each becomes a dead letter soon.`, "#/deadletters", "Dead letters", "bad"]);
  if (unreadable) found.push([`${count(unreadable, "message")} cannot be read: the record is damaged, or a newer version of Relay wrote it.`, `#/messages?age=${AGES[span]}`, "Messages", "bad"]);
  for (const secret of secrets) found.push([`${expiry(secret, at)} Store a new version before mail waits.`, "#/doctor", "Doctor", secret.expires_at < at ? "bad" : "held"]);
  if (hasHighBounceRate(arrivals)) found.push([`${percent(arrivals.bounce_rate)} of the mail of the last 24 hours bounced.`, "#/messages?arrival=bounced", "Messages", "bad"]);
  if (hasHighComplaintRate(arrivals)) found.push([`${percent(arrivals.complaint_rate)} of the mail of the last 24 hours was reported as spam.`, "#/messages?arrival=complained", "Messages", "bad"]);
  if (!found.length) return h("p", { class: "attention calm" }, "Nothing needs attention.");
  return h("ul", { class: "attention card", "aria-label": "Needs attention" }, found.map(([text, href, link, tone], index) => h("li", { class: tone }, h("span", {}, text), h("a", { href, data: { key: `problem-${index}` } }, link))));
}

function expiry({ name, used_by: users, expires_at: end }, at) {
  const days = Math.floor((new Date(end) - new Date(at)) / 86_400_000);
  return `Secret ${name} (${users.join(", ")}) ${days < 0 ? "has expired." : `expires in ${count(days, "day")}.`}`;
}

/** The limits of the alerts (docs/reference/alerts.md), and the least that a rate says anything of. */
function hasHighBounceRate({ sent, hard_bounced: hard, soft_bounced: soft, bounce_rate: rate }) {
  return sent >= 100 && hard + soft >= 5 && rate > 0.05;
}

function hasHighComplaintRate({ complained, complaint_rate: rate }) {
  return complained >= 3 && rate > 0.003;
}

function percent(rate) {
  return `${(100 * rate).toLocaleString(undefined, { maximumFractionDigits: rate < 0.01 ? 2 : 1 })} %`;
}

function tiles({ totals, arrivals, median_seconds: median, p95_seconds: p95 }) {
  const tile = (name, value, group) => h("div", { class: "tile" }, h("dt", {}, group && h("span", { class: `swatch ${group}` }), name), h("dd", {}, value));
  return h("dl", { class: "tiles" },
    tile("Accepted", number(totals.accepted)),
    GROUPS.filter((group) => group !== "cancelled" || totals.cancelled).map((group) => tile(capitalized(humanize(group)), number(totals[group]), group)),
    arrivals.sent > 0 && tile("Bounced, 24 h", h("span", { title: `${count(arrivals.hard_bounced, "hard bounce")} and ${count(arrivals.soft_bounced, "soft bounce")} of ${count(arrivals.sent, "recipient")}` }, percent(arrivals.bounce_rate)), hasHighBounceRate(arrivals) ? "failed" : null),
    arrivals.sent > 0 && tile("Spam reports, 24 h", h("span", { title: `${count(arrivals.complained, "report")} of ${count(arrivals.sent, "recipient")}` }, percent(arrivals.complaint_rate)), hasHighComplaintRate(arrivals) ? "failed" : null),
    median != null && tile("Time to send", h("span", { title: `Median; 95 % within ${duration(p95)}` }, duration(median))));
}

function capitalized(group) {
  return group[0].toUpperCase() + group.slice(1);
}

function lanes(rows) {
  const columns = [
    { name: "Lane", cell: (lane) => lane.name },
    { name: "Waiting", kind: "number", cell: (lane) => number(lane.entries) },
    { name: "Oldest", kind: "number", cell: (lane) => (lane.entries ? duration(lane.oldest_seconds) : "–") },
    { name: "Poisoned", kind: "number", cell: (lane) => (lane.poisoned ? badge("failed", number(lane.poisoned)) : "–") },
  ];
  return card("Queues", dataTable("Queues by lane", columns, rows));
}

function routes(rows) {
  const columns = [
    { name: "Route", cell: (route) => h("a", { href: "#/routes" }, route.name) },
    { name: "State", cell: (route) => badge(route.state) },
    { name: "Reason", cell: (route) => (route.holds.length ? humanize(route.holds[0].code) : "–") },
    { name: "Next probe", cell: (route) => ago(route.holds[0]?.next_probe_at, { isDue: true }) },
  ];
  return card("Routes", dataTable("Routes", columns, rows));
}
