/**
 * One webhook: state, actions, and recent deliveries.
 */

import { call, get, localPath } from "../api.js";
import { button, card, dataTable, definitions, emptyState, errorState, heading, loading } from "../components.js";
import { openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, duration, humanize, moment } from "../format.js";
import { loadRows } from "../paging.js";
import { poll } from "../poll.js";
import { stateOf } from "./webhooks.js";

export async function show({ main, one: id, signal, focusTitle }) {
  const path = `/v1/webhooks/${encodeURIComponent(id)}`;
  const tools = h("div", { class: "actions" });
  const place = h("div", { class: "stack" }, loading());
  const title = h("div");
  main.append(title, place);
  let loaded = null;
  let next = null;
  const refresh = poll({
    signal,
    load: async () => ({ hook: await get(path, signal), log: await loadRows(`${path}/deliveries`, { minimum: loaded?.rows.length, signal }) }),
    draw({ hook, log }) {
      if (loaded === null) {
        title.replaceChildren(...heading(hook.url, { actions: [tools], crumb: ["Webhooks", "#/webhooks"] }).filter(Boolean));
        focusTitle();
      }
      loaded = { hook, rows: log.rows };
      next = log.next;
      draw();
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });

  function draw() {
    const { hook, rows } = loaded;
    redraw(tools, actions(hook));
    redraw(place, about(hook), card("Deliveries of the last 7 days", deliveries(rows), next && h("p", { class: "more" }, button("Show older", more, { key: "more" }))));
  }

  async function more() {
    const page = await loadRows(localPath(next), { signal });
    loaded = { ...loaded, rows: [...loaded.rows, ...page.rows] };
    next = page.next;
    draw();
  }

  function actions({ is_enabled: isOn }) {
    const test = async () => {
      const result = await call("POST", `${path}/test`);
      refresh();
      return result.outcome === "succeeded" ? `Test accepted (${result.status}, ${duration(result.seconds)}).` : `Test failed: ${result.error ?? result.status}.`;
    };
    const pause = async () => {
      await call("PATCH", path, { body: { is_enabled: !isOn } });
      refresh();
      return isOn ? "Webhook paused." : "Webhook resumed.";
    };
    return [
      button("Test", test, { key: "test" }),
      button(isOn ? "Pause" : "Resume", pause, { key: "pause" }),
      h("button", { type: "button", data: { key: "rotate" }, on: { click: rotate } }, "Rotate secret"),
      h("button", { type: "button", class: "danger", data: { key: "delete" }, on: { click: remove } }, "Delete"),
    ];
  }

  async function rotate() {
    let created = null;
    const run = async () => {
      created = await call("PATCH", path, { body: { rotate_secret: true } });
      refresh();
    };
    await openDialog({ title: "Rotate the signing secret?", text: "For 24 hours, deliveries are signed with the old secret too, so that the receiver can switch.", action: "Rotate", run });
    if (created) await showSecret({ title: "New secret", text: "Copy it now. It is not shown again.", secret: created.secret });
  }

  async function remove() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/webhooks";
      return "Webhook deleted.";
    };
    await openDialog({ title: "Delete this webhook?", text: "Pending deliveries are dropped.", action: "Delete", isDanger: true, run });
  }
}

function about(hook) {
  return card("About", h("div", { class: "inside" }, definitions(
    ["State", h("span", {}, stateOf(hook), hook.disabled_reason ? ` ${hook.disabled_reason}` : "")],
    ["Events", hook.events.length ? hook.events.map(humanize).join(", ") : "all"],
    ["Format", hook.format],
    ["Note", hook.note],
    ["Created", moment(hook.created_at)],
    ["Failing since", hook.failing_since && moment(hook.failing_since)],
    ["Old secret until", hook.old_secret_until && moment(hook.old_secret_until)])));
}

function deliveries(rows) {
  if (!rows.length) return emptyState("No deliveries", "Events of your messages are posted as they happen.");
  return dataTable("Deliveries", [
    { name: "At", kind: "tight", cell: ({ at }) => moment(at) },
    { name: "Outcome", cell: ({ outcome }) => badge(outcome) },
    { name: "Response", cell: ({ status, error }) => h("span", { class: "wide" }, [status, error].filter(Boolean).join(" ") || "–") },
    { name: "Attempt", kind: "number", cell: ({ attempt }) => attempt },
    { name: "Duration", kind: "number", cell: ({ seconds }) => duration(seconds ?? 0) },
    { name: "Message", cell: ({ message }) => (message ? h("a", { class: "mono wide", href: `#/messages/${message}` }, message) : "–") },
  ], rows);
}
