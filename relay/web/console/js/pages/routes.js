/**
 * Routes: state, reasons of holds, and the actions probe, hold and release.
 */

import { call, CallFailed, get } from "../api.js";
import { codeLink, codeName, loadMeanings } from "../causes.js";
import { button, definitions, emptyState, errorState, heading, loading } from "../components.js";
import { field, openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { ago, badge, moment } from "../format.js";
import { pieces, t } from "../i18n.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";
import { setCount } from "../shell.js";

export async function show({ main, signal, focusTitle }) {
  const place = h("div", { class: "stack" }, loading());
  const actions = h("div", { class: "actions" });
  main.append(...heading(t("page.routes"), { actions: [actions], text: t("routes.text") }).filter(Boolean), place);
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    load: async () => ({ routes: (await get("/v1/routes", signal)).value, meanings: await loadMeanings(signal) }),
    draw({ routes, meanings }) {
      loaded = routes;
      setCount("routes", routes.filter(({ holds }) => holds.length).length);
      redraw(actions, routes.length && may("PauseDelivery") ? pauseButton(routes, refresh) : null);
      redraw(place, routes.length ? routes.map((route) => routeCard(route, meanings, refresh)) : emptyState(t("routes.none"), t("routes.noneText")));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

function pauseButton(routes, refresh) {
  if (routes.some(({ holds }) => holds.some(({ is_paused }) => is_paused))) {
    const resume = async () => {
      const { resumed } = await call("POST", "/v1/resume");
      refresh();
      return t("routes.resumed", { count: resumed });
    };
    return button(t("routes.resume"), resume, { kind: "primary", key: "resume" });
  }
  return h("button", { type: "button", data: { key: "pause" }, on: { click: () => pauseDelivery(refresh) } }, t("routes.pause"));
}

function pauseDelivery(refresh) {
  const terms = holdTerms();
  return openDialog({
    title: t("routes.pauseTitle"),
    text: t("routes.pauseText"),
    action: t("routes.pauseAction"),
    isDanger: true,
    fields: terms.fields,
    run: async () => {
      const { is_quiet, sending } = await call("POST", "/v1/pause", { body: terms.read() });
      refresh();
      return is_quiet ? t("routes.pausedQuiet") : t("routes.pausedSending", { count: sending });
    },
  });
}

function routeCard(route, meanings, refresh) {
  const { name, provider, state, holds, budgets } = route;
  const post = (action) => call("POST", `/v1/routes/${encodeURIComponent(name)}/${action}`);
  const probe = async () => {
    const result = await post("probe");
    refresh();
    return result.is_healthy ? t("routes.canSend", { name }) : t("routes.cannotSend", { name, meaning: meanings[result.code] ?? codeName(result.code), reply: result.reply });
  };
  const hold = () => holdRoute(name, refresh);
  const release = async () => {
    const { released } = await post("release");
    refresh();
    return t("routes.released", { name, count: released });
  };
  const buttons = may("HoldRoute") && [
    button(t("routes.probe"), probe, { key: `probe-${name}`, label: t("routes.probeName", { name }) }),
    state === "active" && h("button", { type: "button", data: { key: `hold-${name}` }, "aria-label": t("routes.holdName", { name }), on: { click: hold } }, t("routes.hold")),
    holds.length > 0 && button(t("routes.release"), release, { kind: "primary", key: `release-${name}`, label: t("routes.releaseName", { name }) }),
  ];
  return h("section", { class: "card", "aria-label": t("routes.label", { name }) },
    h("header", {}, h("h2", {}, name, provider !== name && h("span", { class: "muted small" }, ` ${provider}`)), badge(state), h("div", { class: "actions" }, buttons)),
    holds.length ? holds.map((each) => holdDetails(each, meanings)) : h("p", { class: "inside muted" }, t("routes.active")),
    budgets.length > 0 && budgetDetails(budgets));
}

/** Show what is left of the external recipients of 24 hours. */
function budgetDetails(budgets) {
  const scopes = { tenant: t("routes.tenant"), sender_domain: t("routes.senderDomain"), mailbox: t("routes.mailbox") };
  return h("div", { class: "inside stack" },
    h("h3", {}, t("routes.budget")),
    definitions(...budgets.map(({ scope, name, limit, left, opens_at }) => [
      [scopes[scope], name].filter(Boolean).join(" "),
      h("span", {}, opens_at ? pieces("routes.leftOpens", { left, limit, when: ago(opens_at, { isDue: true }) }) : t("routes.left", { left, limit })),
    ])));
}

function holdRoute(name, refresh) {
  const terms = holdTerms();
  return openDialog({
    title: t("routes.holdTitle", { name }),
    text: t("routes.holdText"),
    action: t("routes.hold"),
    isDanger: true,
    fields: terms.fields,
    run: async () => {
      await call("POST", `/v1/routes/${encodeURIComponent(name)}/hold`, { body: terms.read() });
      refresh();
      return t("routes.held", { name });
    },
  });
}

/** Make the fields of a hold or a pause; `read` returns the body of the call. */
function holdTerms() {
  const reason = field({ name: "reason", label: t("field.reason"), hint: t("routes.reasonHint"), maxlength: "200" });
  const until = field({ name: "until", label: t("field.until"), type: "datetime-local", hint: t("routes.untilHint") });
  const read = () => {
    if (!reason.read()) throw new CallFailed({ status: 0, code: "required", message: "", details: [{ target: "reason", message: t("routes.reasonMissing") }] });
    return { reason: reason.read(), ...(until.read() && { until: new Date(until.read()).toISOString() }) };
  };
  return { fields: [reason, until], read };
}

function holdDetails(hold, meanings) {
  return h("div", { class: "hold stack" },
    h("p", {}, hold.sender ? h("strong", {}, t("routes.onlyFor", { sender: hold.sender })) : null, meanings[hold.code] ?? codeName(hold.code)),
    definitions(
      [t("field.cause"), codeLink(hold.code, meanings, `${hold.route}-${hold.sender ?? ""}`)],
      [t("field.reason"), hold.reason],
      [t("field.heldBy"), hold.owner],
      [t("field.until"), hold.until && h("span", {}, pieces("routes.timeAndAge", { time: moment(hold.until), age: ago(hold.until, { isDue: true }) }))],
      [t("field.since"), h("span", {}, pieces("routes.timeAndAge", { time: moment(hold.since), age: ago(hold.since) }))],
      [t("field.nextProbe"), hold.next_probe_at ? ago(hold.next_probe_at, { isDue: true }) : hold.state === "trial" ? t("routes.trialBatch") : t("routes.noProbe")],
      [t("field.probes"), hold.probes || null]),
    hold.reply && h("pre", {}, hold.reply));
}

