/**
 * Redrive or discard dead letters: one, several, or all of a cause. Resend a sent message.
 */

import { call, get } from "../api.js";
import { field, openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { humanize } from "../format.js";
import { t } from "../i18n.js";
import { may } from "../permissions.js";

function dialogButton(text, label, key, open, kind = "") {
  return h("button", { type: "button", class: kind, "aria-label": label, data: { key }, on: { click: open } }, text);
}

/** Repeat a call until there is no more to do; returns the sum of its field `counted`. */
async function repeatCall(path, body, counted) {
  let sum = 0;
  for (let isMore = true; isMore; ) {
    const result = await call("POST", path, { body });
    sum += result[counted];
    isMore = result.is_more && result[counted] > 0;
  }
  return sum;
}

/** Make a field that chooses a route, or leaves the choice to the routing rules. */
export function routeField(routes) {
  return field({ name: "route", label: t("field.route"), options: [["", t("route.byRules")], ...routes.map(({ name, state }) => [name, state === "active" ? name : `${name} (${humanize(state)})`])] });
}

/** Open the resend dialog for a message of which a copy was sent. */
export async function resend({ id, attempts }, done) {
  const route = routeField(may("ListRoutes") ? (await get("/v1/routes")).value : []);
  const reason = field({ name: "reason", label: t("field.reason"), hint: t("resend.reasonHint"), maxlength: "200" });
  const run = async () => {
    // The newest attempt on the page: what is sent after it is not sent again, even if this request is repeated.
    const until = attempts.at(-1).at;
    const how = { ...(route.read() && { route: route.read() }), ...(reason.read() && { reason: reason.read() }) };
    await call("POST", `/v1/messages/${id}/resend`, { body: { sent_until: until, ...how } });
    done();
    return t("resend.queued");
  };
  await openDialog({ title: t("resend.title"), text: t("resend.text"), action: t("resend.action"), fields: [route, reason], run });
}

/** Open the redrive dialog for `choice`: `{ids}` or `{code}`. */
export async function redrive(title, choice, done) {
  if (!may("RedriveDeadLetters")) return redriveUnchanged(title, choice.ids, done);
  const route = routeField((await get("/v1/routes")).value);
  const sender = field({ name: "sender", label: t("field.sender"), hint: t("redrive.newSender"), placeholder: "Shop <orders@example.com>" });
  const run = async () => {
    const how = { ...(route.read() && { route: route.read() }), ...(sender.read() && { sender: sender.read() }) };
    const sum = await repeatCall("/v1/deadletters/redrive", { ...choice, ...how }, "redriven");
    done();
    return sum ? t("redrive.queued", { count: sum }) : t("redrive.nothing");
  };
  await openDialog({ title, text: t("redrive.text"), action: t("redrive.action"), fields: [route, sender], run });
}

/** Open the redrive dialog of a role that may send messages again only as they were. */
function redriveUnchanged(title, ids, done) {
  const run = async () => {
    for (const id of ids) await call("POST", `/v1/messages/${id}/redrive`);
    done();
    return t("redrive.queued", { count: ids.length });
  };
  return openDialog({ title, text: t("redrive.text"), action: t("redrive.action"), run });
}

/** Open the discard dialog for `choice`: `{ids}` or `{code}`. */
export async function discard(title, choice, done) {
  const run = async () => {
    const sum = await repeatCall("/v1/deadletters/discard", choice, "discarded");
    done();
    return t("discard.done", { count: sum });
  };
  await openDialog({ title, text: t("discard.text"), action: t("discard.action"), isDanger: true, run });
}

export function redriveAll(code, total, done) {
  return may("RedriveDeadLetters") && dialogButton(t("redrive.all"), t("redrive.allOf", { code }), `redrive-${code}`, () => redrive(t("redrive.many", { count: total }), { code }, done));
}

export function discardAll(code, total, done) {
  return may("DiscardDeadLetters") && dialogButton(t("discard.all"), t("discard.allOf", { code }), `discard-${code}`, () => discard(t("discard.many", { count: total }), { code }, done), "danger");
}
