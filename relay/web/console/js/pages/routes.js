/**
 * The routes out: which are open, which are held and why, and what may be done about it.
 */

import { call, get } from "../api.js";
import { meaningOf } from "../causes.js";
import { ask } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { button, facts, failed, heading, loading, nothing } from "../parts.js";
import { attention } from "../shell.js";
import { ago, badge, count, moment, plain } from "../words.js";

export async function show({ room, signal, focusTitle }) {
  const place = h("div", { class: "stack" }, loading());
  room.append(...heading("Routes", { text: "A held route keeps its mail: nothing is lost, no attempt is used, and Relay probes until it may go on." }).filter(Boolean), place);
  focusTitle();
  let known = null;
  const again = live({
    signal,
    load: async () => ({ routes: (await get("/v1/routes", signal)).value, meanings: await meaningOf(signal) }),
    draw({ routes, meanings }) {
      known = routes;
      attention("routes", routes.filter(({ holds }) => holds.length).length);
      redraw(place, routes.length ? routes.map((route) => one(route, meanings, again)) : nothing("No routes", "RELAY_ROUTES names none."));
    },
    fail: (error) => known === null && redraw(place, failed(error, again)),
  });
}

function one(route, meanings, again) {
  const { name, provider, state, holds } = route;
  const act = (word) => call("POST", `/v1/routes/${encodeURIComponent(name)}/${word}`);
  const probe = async () => {
    const told = await act("probe");
    again();
    return told.is_healthy ? `${name} could send now.` : `${name} could not send: ${meanings[told.code] ?? plain(told.code)} ${told.reply}`;
  };
  const hold = () => ask({
    title: `Hold ${name}?`,
    text: "Nothing leaves by this route until it is released. Mail that has another route takes that; the rest waits.",
    action: "Hold",
    isDanger: true,
    run: async () => { await act("hold"); again(); return `${name} is held.`; },
  });
  const release = async () => {
    const { released } = await act("release");
    again();
    return `${name} is open; ${count(released, "hold")} ended, and what waited goes on.`;
  };
  const buttons = [
    button("Probe", probe, { key: `probe-${name}`, label: `Probe ${name}` }),
    state === "active" && h("button", { type: "button", data: { key: `hold-${name}` }, "aria-label": `Hold ${name}`, on: { click: hold } }, "Hold"),
    holds.length > 0 && button("Release", release, { kind: "primary", key: `release-${name}`, label: `Release ${name}` }),
  ];
  return h("section", { class: "card", "aria-label": `Route ${name}` },
    h("header", {}, h("h2", {}, name, provider !== name && h("span", { class: "muted small" }, ` ${provider}`)), badge(state), h("div", { class: "actions" }, buttons)),
    holds.length ? holds.map((each) => reason(each, meanings)) : h("p", { class: "inside muted" }, "Open: mail leaves by this route."));
}

function reason(hold, meanings) {
  return h("div", { class: "hold stack" },
    h("p", {}, hold.sender ? h("strong", {}, `Only for ${hold.sender}: `) : null, meanings[hold.code] ?? plain(hold.code)),
    facts(
      ["Cause", h("code", {}, hold.code)],
      ["Since", h("span", {}, moment(hold.since), " (", ago(hold.since), ")")],
      ["Next probe", hold.next_probe_at ? ago(hold.next_probe_at) : hold.state === "trial" ? "One batch may try now" : "None: only a release ends this"],
      ["Probes", hold.probes || null]),
    hold.reply && h("pre", {}, hold.reply));
}

