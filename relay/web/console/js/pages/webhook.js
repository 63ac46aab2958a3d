/**
 * One web hook: whether it takes what is posted, and what was posted lately.
 */

import { call, get, here } from "../api.js";
import { ask, show as showOnce } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { button, card, facts, failed, heading, list, loading, nothing } from "../parts.js";
import { badge, duration, moment, plain } from "../words.js";
import { stateOf } from "./webhooks.js";

export async function show({ room, one: id, signal, focusTitle }) {
  const path = `/v1/webhooks/${encodeURIComponent(id)}`;
  const tools = h("div", { class: "actions" });
  const place = h("div", { class: "stack" }, loading());
  const title = h("div");
  room.append(title, place);
  let known = null;
  let older = [];
  let next = null;
  const again = live({
    signal,
    load: async () => ({ hook: await get(path, signal), log: await get(`${path}/deliveries`, signal) }),
    draw({ hook, log }) {
      if (known === null) {
        title.replaceChildren(...heading(hook.url, { actions: [tools], crumb: ["Web hooks", "#/webhooks"] }).filter(Boolean));
        focusTitle();
      }
      if (!older.length) next = log.next_link ?? null;
      known = { hook, rows: log.value };
      draw();
    },
    fail: (error) => known === null && redraw(place, failed(error, again)),
  });

  function draw() {
    const { hook, rows } = known;
    redraw(tools, actions(hook));
    redraw(place, about(hook), card("Posts of the last week", deliveries([...rows, ...older]), next && h("p", { class: "more" }, button("Show older", more, { key: "more" }))));
  }

  async function more() {
    const told = await get(here(next), signal);
    older = [...older, ...told.value];
    next = told.next_link ?? null;
    draw();
  }

  function actions({ is_enabled: isOn }) {
    const test = async () => {
      const told = await call("POST", `${path}/test`);
      again();
      return told.outcome === "taken" ? `The test was taken (${told.status}, ${duration(told.seconds)}).` : `The test was not taken: ${told.error ?? told.status}.`;
    };
    const pause = async () => {
      await call("PATCH", path, { body: { is_enabled: !isOn } });
      again();
      return isOn ? "Nothing is posted there any more." : "Posts go on.";
    };
    return [
      button("Test", test, { key: "test" }),
      button(isOn ? "Pause" : "Go on", pause, { key: "pause" }),
      h("button", { type: "button", data: { key: "rotate" }, on: { click: rotate } }, "New secret"),
      h("button", { type: "button", class: "danger", data: { key: "delete" }, on: { click: remove } }, "Delete"),
    ];
  }

  async function rotate() {
    let made = null;
    const run = async () => {
      made = await call("PATCH", path, { body: { rotate_secret: true } });
      again();
    };
    await ask({ title: "A new signing secret?", text: "For a day posts carry a signature by the old one too, so that the receiver can change over.", action: "Make it", run });
    if (made) await showOnce({ title: "The new secret", text: "Copy it now: it is not shown again.", secret: made.secret });
  }

  async function remove() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/webhooks";
      return "The web hook is gone.";
    };
    await ask({ title: "Delete this web hook?", text: "Posts under way are dropped.", action: "Delete", isDanger: true, run });
  }
}

function about(hook) {
  return card("About", h("div", { class: "inside" }, facts(
    ["State", h("span", {}, stateOf(hook), hook.disabled_why ? ` ${hook.disabled_why}` : "")],
    ["Events", hook.events.length ? hook.events.map(plain).join(", ") : "all"],
    ["Form", hook.format],
    ["Note", hook.note],
    ["Since", moment(hook.created_at)],
    ["Failing since", hook.failing_since && moment(hook.failing_since)],
    ["Old secret until", hook.old_secret_until && moment(hook.old_secret_until)])));
}

function deliveries(rows) {
  if (!rows.length) return nothing("Nothing was posted", "Events of your messages are posted as they become known.");
  return list("Posts", [
    { name: "At", kind: "tight", cell: ({ at }) => moment(at) },
    { name: "Outcome", cell: ({ outcome }) => badge(outcome) },
    { name: "Answer", cell: ({ status, error }) => h("span", { class: "wide" }, [status, error].filter(Boolean).join(" ") || "–") },
    { name: "Attempt", kind: "number", cell: ({ attempt }) => attempt },
    { name: "Took", kind: "number", cell: ({ seconds }) => duration(seconds ?? 0) },
    { name: "Message", cell: ({ message }) => (message ? h("a", { class: "mono wide", href: `#/messages/${message}` }, message) : "–") },
  ], rows);
}
