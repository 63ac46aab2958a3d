/**
 * The overview: problems, totals, chart, queues, routes.
 */

import { get } from "../api.js";
import { codeName } from "../causes.js";
import { chart, GROUPS } from "../chart.js";
import { card, dataTable, errorState, heading, loading, segmented } from "../components.js";
import { h, redraw } from "../dom.js";
import { ago, badge, duration, holdFigures, humanize, listed, number, percent } from "../format.js";
import { t } from "../i18n.js";
import { poll } from "../poll.js";
import { setCount } from "../shell.js";

/** The period of the list of messages that covers a span. */
const AGES = { hour: "3600", day: "", week: "604800" };
const SPANS = [["hour", t("overview.hour")], ["day", t("overview.day")], ["week", t("overview.week")]];

export async function show({ main, query, signal, focusTitle }) {
  let span = SPANS.some(([name]) => name === query.get("span")) ? query.get("span") : "hour";
  let chosen = null;
  let overview = null;
  const place = h("div", {}, loading());
  const head = h("div");
  main.append(head, place);
  const drawHead = () => redraw(head, heading(t("page.overview"), { actions: [segmented(t("overview.span"), SPANS, span, chooseSpan)] }));
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
    h("section", { class: "card" }, h("header", {}, h("h2", {}, t("overview.chart"))), h("div", { class: "inside" }, chart(overview, chosen, choose))),
    h("div", { class: "side-by-side" }, lanes(overview.lanes), routes(overview.routes)),
  ];
}

/** List what needs attention. */
function problems({ at, routes, held_clients: held, dead_letters: dead, lanes, unreadable, span, arrivals, secrets }) {
  const found = [];
  const poisoned = lanes.reduce((sum, lane) => sum + lane.poisoned, 0);
  for (const { name, holds } of routes) for (const hold of holds) found.push([heldRoute(name, hold), "#/routes", t("page.routes"), "held"]);
  for (const hold of held) found.push([heldClient(hold), `#/clients/${hold.client}`, t("field.client"), "held"]);
  if (dead.count) found.push([t(dead.is_more ? "overview.deadOrMore" : "overview.dead", { count: dead.count }), "#/deadletters", t("page.deadletters"), "bad"]);
  if (poisoned) found.push([t("overview.poisoned", { count: poisoned }), "#/deadletters", t("page.deadletters"), "bad"]);
  if (unreadable) found.push([t("overview.unreadable", { count: unreadable }), `#/messages?age=${AGES[span]}`, t("page.messages"), "bad"]);
  for (const secret of secrets) found.push([expiry(secret, at), "#/doctor", t("page.doctor"), secret.expires_at < at ? "bad" : "held"]);
  if (hasHighBounceRate(arrivals)) found.push([t("overview.bounceRate", { rate: share(arrivals.bounce_rate) }), "#/messages?arrival=bounced", t("page.messages"), "bad"]);
  if (hasHighComplaintRate(arrivals)) found.push([t("overview.complaintRate", { rate: share(arrivals.complaint_rate) }), "#/messages?arrival=complained", t("page.messages"), "bad"]);
  if (!found.length) return h("p", { class: "attention calm" }, t("overview.calm"));
  return h("ul", { class: "attention card", "aria-label": t("overview.attention") }, found.map(([text, href, link, tone], index) => h("li", { class: tone }, h("span", {}, text), h("a", { href, data: { key: `problem-${index}` } }, link))));
}

function heldRoute(name, { state, sender, code }) {
  const values = { name, sender, cause: codeName(code) };
  if (state === "trial") return t(sender ? "overview.routeTrialSender" : "overview.routeTrial", values);
  return t(sender ? "overview.routeHeldSender" : "overview.routeHeld", values);
}

function heldClient(hold) {
  return t(hold.lanes === "all" ? "overview.clientHeldAll" : "overview.clientHeldBulk", { client: hold.client, figures: holdFigures(hold) });
}

function expiry({ name, used_by: users, expires_at: end }, at) {
  const days = Math.floor((new Date(end) - new Date(at)) / 86_400_000);
  return t(days < 0 ? "overview.secretExpired" : "overview.secretExpires", { name, users: listed(users), count: days });
}

/** The limits of the alerts (docs/reference/alerts.md), and the least that a rate says anything of. */
function hasHighBounceRate({ sent, hard_bounced: hard, soft_bounced: soft, bounce_rate: rate }) {
  return sent >= 100 && hard + soft >= 5 && rate > 0.05;
}

function hasHighComplaintRate({ complained, complaint_rate: rate }) {
  return complained >= 3 && rate > 0.003;
}

function share(rate) {
  return percent(rate, { digits: rate < 0.01 ? 2 : 1 });
}

function tiles({ totals, arrivals, median_seconds: median, p95_seconds: p95 }) {
  const tile = (name, value, group) => h("div", { class: "tile" }, h("dt", {}, group && h("span", { class: `swatch ${group}` }), name), h("dd", {}, value));
  return h("dl", { class: "tiles" },
    tile(t("field.accepted"), number(totals.accepted)),
    GROUPS.filter((group) => group !== "cancelled" || totals.cancelled).map((group) => tile(capitalized(humanize(group)), number(totals[group]), group)),
    arrivals.sent > 0 && tile(t("overview.bounced"), h("span", { title: t("overview.bouncedDetails", { hard: arrivals.hard_bounced, soft: arrivals.soft_bounced, sent: arrivals.sent }) }, share(arrivals.bounce_rate)), hasHighBounceRate(arrivals) ? "failed" : null),
    arrivals.sent > 0 && tile(t("overview.complaints"), h("span", { title: t("overview.complaintsDetails", { complained: arrivals.complained, sent: arrivals.sent }) }, share(arrivals.complaint_rate)), hasHighComplaintRate(arrivals) ? "failed" : null),
    median != null && tile(t("overview.timeToSend"), h("span", { title: t("overview.median", { duration: duration(p95) }) }, duration(median))));
}

function capitalized(group) {
  return group[0].toUpperCase() + group.slice(1);
}

function lanes(rows) {
  const columns = [
    { name: t("field.lane"), cell: (lane) => lane.name },
    { name: t("field.waiting"), kind: "number", cell: (lane) => number(lane.entries) },
    { name: t("field.oldest"), kind: "number", cell: (lane) => (lane.entries ? duration(lane.oldest_seconds) : "–") },
    { name: t("field.poisoned"), kind: "number", cell: (lane) => (lane.poisoned ? badge("failed", number(lane.poisoned)) : "–") },
  ];
  return card(t("overview.queues"), dataTable(t("overview.queuesByLane"), columns, rows));
}

function routes(rows) {
  const columns = [
    { name: t("field.route"), cell: (route) => h("a", { href: "#/routes" }, route.name) },
    { name: t("field.state"), cell: (route) => badge(route.state) },
    { name: t("field.reason"), cell: (route) => (route.holds.length ? codeName(route.holds[0].code) : "–") },
    { name: t("field.nextProbe"), cell: (route) => ago(route.holds[0]?.next_probe_at, { isDue: true }) },
  ];
  return card(t("page.routes"), dataTable(t("page.routes"), columns, rows));
}
