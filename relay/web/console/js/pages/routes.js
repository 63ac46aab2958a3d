/**
 * Routes: state, reasons of holds, and the actions probe, hold and release.
 */

import { call, CallFailed, get } from "../api.js";
import { codeLink, loadMeanings } from "../causes.js";
import { button, definitions, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { ago, badge, count, humanize, moment } from "../format.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";
import { setCount } from "../shell.js";

export async function show({ main, signal, focusTitle }) {
  const place = h("div", { class: "stack" }, loading());
  const actions = h("div", { class: "actions" });
  main.append(...heading("Routes", { actions: [actions], text: "A held route keeps its mail: no message is lost and no attempt is used. Relay probes it until it works again." }).filter(Boolean), place);
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    load: async () => ({ routes: (await get("/v1/routes", signal)).value, meanings: await loadMeanings(signal) }),
    draw({ routes, meanings }) {
      loaded = routes;
      setCount("routes", routes.filter(({ holds }) => holds.length).length);
      redraw(actions, routes.length && may("PauseDelivery") ? pauseButton(routes, refresh) : null);
      redraw(place, routes.length ? routes.map((route) => routeCard(route, meanings, refresh)) : emptyState("No routes", "RELAY_ROUTES configures no routes."));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

function pauseButton(routes, refresh) {
  if (routes.some(({ holds }) => holds.some(({ is_paused }) => is_paused))) {
    const resume = async () => {
      const { resumed } = await call("POST", "/v1/resume");
      refresh();
      return `Delivery is resumed. ${count(resumed, "hold")} ended.`;
    };
    return button("Resume delivery", resume, { kind: "primary", key: "resume" });
  }
  return h("button", { type: "button", data: { key: "pause" }, on: { click: () => pauseDelivery(refresh) } }, "Pause delivery");
}

function pauseDelivery(refresh) {
  const terms = holdTerms();
  return openDialog({
    title: "Pause delivery?",
    text: "Relay holds every route and waits until running attempts have ended. It still accepts mail, and sends it after you resume delivery or the time below. Use this before a deployment.",
    action: "Pause",
    isDanger: true,
    fields: terms.fields,
    run: async () => {
      const { is_quiet, sending } = await call("POST", "/v1/pause", { body: terms.read() });
      refresh();
      return is_quiet ? "Delivery is paused; no attempt runs." : `Every route is held; attempts that still run: ${sending}.`;
    },
  });
}

function routeCard(route, meanings, refresh) {
  const { name, provider, state, holds, budgets } = route;
  const post = (action) => call("POST", `/v1/routes/${encodeURIComponent(name)}/${action}`);
  const probe = async () => {
    const result = await post("probe");
    refresh();
    return result.is_healthy ? `${name} can send.` : `${name} cannot send: ${meanings[result.code] ?? humanize(result.code)} ${result.reply}`;
  };
  const hold = () => holdRoute(name, refresh);
  const release = async () => {
    const { released } = await post("release");
    refresh();
    return `${name} is active. ${count(released, "hold")} ended; waiting mail is sent now.`;
  };
  const buttons = may("HoldRoute") && [
    button("Probe", probe, { key: `probe-${name}`, label: `Probe ${name}` }),
    state === "active" && h("button", { type: "button", data: { key: `hold-${name}` }, "aria-label": `Hold ${name}`, on: { click: hold } }, "Hold"),
    holds.length > 0 && button("Release", release, { kind: "primary", key: `release-${name}`, label: `Release ${name}` }),
  ];
  return h("section", { class: "card", "aria-label": `Route ${name}` },
    h("header", {}, h("h2", {}, name, provider !== name && h("span", { class: "muted small" }, ` ${provider}`)), badge(state), h("div", { class: "actions" }, buttons)),
    holds.length ? holds.map((each) => holdDetails(each, meanings)) : h("p", { class: "inside muted" }, "Active: mail is sent by this route."),
    budgets.length > 0 && budgetDetails(budgets));
}

/** Show what is left of the external recipients of 24 hours. */
function budgetDetails(budgets) {
  const scopes = { tenant: "Whole tenant", sender_domain: "From addresses", mailbox: "Mailbox" };
  return h("div", { class: "inside stack" },
    h("h3", {}, "External recipients in 24 hours"),
    definitions(...budgets.map(({ scope, name, limit, left, opens_at }) => [
      [scopes[scope], name].filter(Boolean).join(" "),
      h("span", {}, `${left} of ${limit} left`, opens_at && [", room again ", ago(opens_at, { isDue: true })]),
    ])));
}

function holdRoute(name, refresh) {
  const terms = holdTerms();
  return openDialog({
    title: `Hold ${name}?`,
    text: "Relay sends nothing by this route until you release it, or until the time below. Mail uses another route if it has one, or waits.",
    action: "Hold",
    isDanger: true,
    fields: terms.fields,
    run: async () => {
      await call("POST", `/v1/routes/${encodeURIComponent(name)}/hold`, { body: terms.read() });
      refresh();
      return `${name} is held.`;
    },
  });
}

/** Make the fields of a hold or a pause; `read` returns the body of the call. */
function holdTerms() {
  const reason = field({ name: "reason", label: "Reason", hint: "Shown with the route and in the audit log.", maxlength: "200" });
  const until = field({ name: "until", label: "Until", type: "datetime-local", hint: "Local time, at most 7 days ahead. Empty: until somebody ends it." });
  const read = () => {
    if (!reason.read()) throw new CallFailed({ status: 0, code: "required", message: "", details: [{ target: "reason", message: "Say why, for the people who look at the routes." }] });
    return { reason: reason.read(), ...(until.read() && { until: new Date(until.read()).toISOString() }) };
  };
  return { fields: [reason, until], read };
}

function holdDetails(hold, meanings) {
  return h("div", { class: "hold stack" },
    h("p", {}, hold.sender ? h("strong", {}, `Only for ${hold.sender}: `) : null, meanings[hold.code] ?? humanize(hold.code)),
    definitions(
      ["Cause", codeLink(hold.code, meanings, `${hold.route}-${hold.sender ?? ""}`)],
      ["Reason", hold.reason],
      ["Held by", hold.owner],
      ["Until", hold.until && h("span", {}, moment(hold.until), " (", ago(hold.until, { isDue: true }), ")")],
      ["Since", h("span", {}, moment(hold.since), " (", ago(hold.since), ")")],
      ["Next probe", hold.next_probe_at ? ago(hold.next_probe_at, { isDue: true }) : hold.state === "trial" ? "None: one trial batch may be sent" : "None: release the route to end this hold"],
      ["Probes", hold.probes || null]),
    hold.reply && h("pre", {}, hold.reply));
}

