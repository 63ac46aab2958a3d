/**
 * Resend mail that a provider accepted and lost: count messages without a delivery report, then send them again.
 */

import { call, get } from "../api.js";
import { field, openDialog } from "../dialogs.js";
import { t } from "../i18n.js";

const HOUR_MS = 3_600_000;

/** Ask for a route and a period, count the lost messages, and resend them after a confirmation. */
export async function resendLost(done) {
  const routes = (await get("/v1/routes")).value.map(({ name }) => [name, name]);
  const route = field({ name: "route", label: t("lost.route"), options: routes });
  const since = field({ name: "sent_since", label: t("lost.from"), type: "datetime-local", step: "any", value: local(Date.now() - 24 * HOUR_MS) });
  const before = field({ name: "sent_before", label: t("lost.to"), type: "datetime-local", step: "any", value: local(Date.now() - HOUR_MS), hint: t("lost.toHint") });
  const other = field({ name: "to_route", label: t("lost.newRoute"), options: [["", t("route.byRules")], ...routes] });
  let found = null;
  let unreadable = 0;
  let criteria = null;
  const isCounted = await openDialog({
    title: t("lost.title"),
    text: t("lost.text"),
    action: t("lost.count"),
    fields: [route, since, before, other],
    run: async () => {
      criteria = { route: route.read(), sent_since: iso(since), sent_before: iso(before), without_delivered: true, ...(other.read() && { to_route: other.read() }) };
      ({ found, unreadable } = await repeatCall({ ...criteria, dry_run: true }));
    },
  });
  if (!isCounted) return;
  await openDialog({
    title: found ? t("lost.confirm", { count: found }) : t("lost.none"),
    text: [found ? t("lost.twice") : t("lost.noneText"), unreadable && t("lost.unreadable", { count: unreadable })].filter(Boolean).join(t("sentence.separator")),
    action: found ? t("resend.action") : t("common.close"),
    run: async () => {
      if (!found) return null;
      const { redriven } = await repeatCall(criteria);
      done();
      return t("redrive.queued", { count: redriven });
    },
  });
}

/** Repeat the call until there are no more messages; returns the sums of its counts. */
async function repeatCall(criteria) {
  const sums = { found: 0, redriven: 0, unreadable: 0 };
  for (let cursor = null, isMore = true; isMore; ) {
    const result = await call("POST", "/v1/redrive", { body: cursor === null ? criteria : { ...criteria, cursor } });
    sums.found += result.found;
    sums.redriven += result.redriven;
    sums.unreadable += result.unreadable;
    cursor = result.cursor ?? null;
    isMore = result.is_more;
  }
  return sums;
}

/** Format a time for a `datetime-local` field: local time without seconds. */
function local(milliseconds) {
  const at = new Date(milliseconds);
  return new Date(milliseconds - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function iso(field) {
  return field.read() ? new Date(field.read()).toISOString() : "";
}
