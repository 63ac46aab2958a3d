/**
 * One webhook: state, actions, and recent deliveries.
 */

import { call, get, localPath } from "../api.js";
import { button, card, dataTable, definitions, emptyState, errorState, heading, loading } from "../components.js";
import { openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, duration, humanize, listed, moment } from "../format.js";
import { t } from "../i18n.js";
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
        title.replaceChildren(...heading(hook.url, { actions: [tools], crumb: [t("page.webhooks"), "#/webhooks"] }).filter(Boolean));
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
    redraw(place, about(hook), card(t("webhook.recentDeliveries"), deliveries(rows), next && h("p", { class: "more" }, button(t("common.showOlder"), more, { key: "more" }))));
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
      return result.outcome === "succeeded" ? t("webhook.testAccepted", { status: String(result.status), duration: duration(result.seconds) }) : t("webhook.testFailed", { error: result.error ?? String(result.status) });
    };
    const pause = async () => {
      await call("PATCH", path, { body: { is_enabled: !isOn } });
      refresh();
      return isOn ? t("webhook.paused") : t("webhook.resumed");
    };
    return [
      button(t("webhook.test"), test, { key: "test" }),
      button(isOn ? t("webhook.pause") : t("webhook.resume"), pause, { key: "pause" }),
      h("button", { type: "button", data: { key: "rotate" }, on: { click: rotate } }, t("webhook.rotate")),
      h("button", { type: "button", class: "danger", data: { key: "delete" }, on: { click: remove } }, t("common.delete")),
    ];
  }

  async function rotate() {
    let created = null;
    const run = async () => {
      created = await call("PATCH", path, { body: { rotate_secret: true } });
      refresh();
    };
    await openDialog({ title: t("webhook.rotateTitle"), text: t("webhook.rotateText"), action: t("webhook.rotateAction"), run });
    if (created) await showSecret({ title: t("webhook.newSecret"), text: t("webhook.newSecretText"), secret: created.secret });
  }

  async function remove() {
    const run = async () => {
      await call("DELETE", path);
      location.hash = "#/webhooks";
      return t("webhook.deleted");
    };
    await openDialog({ title: t("webhook.deleteTitle"), text: t("webhook.deleteText"), action: t("common.delete"), isDanger: true, run });
  }
}

function about(hook) {
  return card(t("common.about"), h("div", { class: "inside" }, definitions(
    [t("field.state"), h("span", {}, stateOf(hook), hook.disabled_reason ? ` ${hook.disabled_reason}` : "")],
    [t("field.events"), hook.events.length ? listed(hook.events.map(humanize)) : t("common.all")],
    [t("field.format"), hook.format],
    [t("field.note"), hook.note],
    [t("field.created"), moment(hook.created_at)],
    [t("field.failingSince"), hook.failing_since && moment(hook.failing_since)],
    [t("webhook.oldSecretUntil"), hook.old_secret_until && moment(hook.old_secret_until)])));
}

function deliveries(rows) {
  if (!rows.length) return emptyState(t("webhook.noDeliveries"), t("webhook.noDeliveriesText"));
  return dataTable(t("webhook.deliveries"), [
    { name: t("field.time"), kind: "tight", cell: ({ at }) => moment(at) },
    { name: t("field.outcome"), cell: ({ outcome }) => badge(outcome) },
    { name: t("field.response"), cell: ({ status, error }) => h("span", { class: "wide" }, [status, error].filter(Boolean).join(" ") || "–") },
    { name: t("field.attempt"), kind: "number", cell: ({ attempt }) => attempt },
    { name: t("field.duration"), kind: "number", cell: ({ seconds }) => duration(seconds ?? 0) },
    { name: t("field.message"), cell: ({ message }) => (message ? h("a", { class: "mono wide", href: `#/messages/${message}` }, message) : "–") },
  ], rows);
}
