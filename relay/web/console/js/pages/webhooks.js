/**
 * Webhooks of the signed-in client.
 */

import { call, get } from "../api.js";
import { dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { checkboxGroup, field, openDialog, showSecret } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, humanize, listed, moment } from "../format.js";
import { t } from "../i18n.js";
import { poll } from "../poll.js";

export const KINDS = ["processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed", "resubscribed", "replied", "auto_replied", "failed", "expired", "unknown", "cancelled", "client.held", "client.released"];
export const FORMATS = [["standard", t("webhooks.standard")], ["cloudevents", "CloudEvents"]];

export async function show({ main, me, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const add = h("button", { type: "button", class: "primary", data: { key: "add" }, on: { click: () => create(() => refresh()) } }, t("webhooks.new"));
  main.append(...heading(t("page.webhooks"), { actions: [add], text: t("webhooks.text", { client: me.name }) }).filter(Boolean), h("div", { class: "card" }, place));
  focusTitle();
  let loaded = null;
  const refresh = poll({
    signal,
    seconds: 15,
    load: () => get("/v1/webhooks", signal),
    draw({ value }) {
      loaded = value;
      redraw(place, value.length ? table(value) : emptyState(t("webhooks.none"), t("webhooks.noneText")));
    },
    fail: (error) => loaded === null && redraw(place, errorState(error, refresh)),
  });
}

/** Make the badge of a webhook's state. */
export function stateOf({ is_enabled: isOn, failing_since: failing }) {
  if (!isOn) return badge("disabled");
  return failing ? badge("warning", humanize("failing")) : badge("enabled");
}

function table(rows) {
  return dataTable(t("page.webhooks"), [
    { name: t("field.url"), cell: ({ id, url }) => h("a", { class: "wide", href: `#/webhooks/${id}`, data: { key: `open-${id}` } }, url) },
    { name: t("field.state"), cell: stateOf },
    { name: t("field.events"), cell: ({ events }) => (events.length ? listed(events.map(humanize)) : t("common.all")) },
    { name: t("field.note"), cell: ({ note }) => note ?? "–" },
    { name: t("field.created"), kind: "tight", cell: ({ created_at: at }) => moment(at) },
  ], rows);
}

async function create(done) {
  const url = field({ name: "url", label: t("field.url"), type: "url", placeholder: "https://…", required: true });
  const events = checkboxGroup({ name: "events", label: t("field.events"), hint: t("webhooks.eventsHint"), options: KINDS.map((each) => [each, humanize(each)]), chosen: ["delivered", "bounced", "complained"] });
  const format = field({ name: "format", label: t("field.format"), options: FORMATS });
  const note = field({ name: "note", label: t("field.note") });
  let created = null;
  const run = async () => {
    created = await call("POST", "/v1/webhooks", { body: { url: url.read(), events: events.read(), format: format.read(), ...(note.read() && { note: note.read() }) } });
  };
  await openDialog({ title: t("webhooks.new"), action: t("common.create"), fields: [url, events, format, note], run });
  if (created === null) return;
  done();
  await showSecret({ title: t("webhooks.secret"), text: t("webhooks.secretText"), secret: created.secret });
}
