/**
 * Redrive or discard dead letters: one, several, or all of a cause. Resend a sent message.
 */

import { call, get } from "../api.js";
import { field, openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { count } from "../format.js";
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
  return field({ name: "route", label: "Route", options: [["", "Use the routing rules"], ...routes.map(({ name, state }) => [name, state === "active" ? name : `${name} (${state})`])] });
}

/** Open the resend dialog for a message of which a copy was sent. */
export async function resend({ id, attempts }, done) {
  const route = routeField(may("ListRoutes") ? (await get("/v1/routes")).value : []);
  const reason = field({ name: "reason", label: "Reason", hint: "For the audit log.", maxlength: "200" });
  const run = async () => {
    // The newest attempt on the page: what is sent after it is not sent again, even if this request is repeated.
    // Compared without the Z, which sorts after a fraction of a second.
    const until = `${attempts.map(({ at }) => at.slice(0, -1)).sort().at(-1)}Z`;
    const how = { ...(route.read() && { route: route.read() }), ...(reason.read() && { reason: reason.read() }) };
    await call("POST", `/v1/messages/${id}/resend`, { body: { sent_until: until, ...how } });
    done();
    return "Queued again.";
  };
  await openDialog({ title: "Resend this message?", text: "Every recipient whose copy was sent gets it a second time, except suppressed addresses.", action: "Resend", fields: [route, reason], run });
}

/** Open the redrive dialog for `choice`: `{ids}` or `{code}`. */
export async function redrive(title, choice, done) {
  if (!may("RedriveDeadLetters")) return redriveUnchanged(title, choice.ids, done);
  const route = routeField((await get("/v1/routes")).value);
  const sender = field({ name: "sender", label: "Sender", hint: "A new From address, if the old one caused the failure. Empty: unchanged.", placeholder: "Shop <orders@example.com>" });
  const run = async () => {
    const how = { ...(route.read() && { route: route.read() }), ...(sender.read() && { sender: sender.read() }) };
    const sum = await repeatCall("/v1/deadletters/redrive", { ...choice, ...how }, "redriven");
    done();
    return sum ? `${count(sum, "message")} queued again.` : "No dead letters were left.";
  };
  await openDialog({ title, text: "Relay sends the original content again. A message that may have been sent already can arrive twice.", action: "Redrive", fields: [route, sender], run });
}

/** Open the redrive dialog of a role that may send messages again only as they were. */
function redriveUnchanged(title, ids, done) {
  const run = async () => {
    for (const id of ids) await call("POST", `/v1/messages/${id}/redrive`);
    done();
    return `${count(ids.length, "message")} queued again.`;
  };
  return openDialog({ title, text: "Relay sends the original content again. A message that may have been sent already can arrive twice.", action: "Redrive", run });
}

/** Open the discard dialog for `choice`: `{ids}` or `{code}`. */
export async function discard(title, choice, done) {
  const run = async () => {
    const sum = await repeatCall("/v1/deadletters/discard", choice, "discarded");
    done();
    return `${count(sum, "message")} discarded.`;
  };
  await openDialog({ title, text: "Discarded messages leave this list and cannot be redriven from here. Their records stay until the retention period ends.", action: "Discard", isDanger: true, run });
}

export function redriveAll(code, total, done) {
  return may("RedriveDeadLetters") && dialogButton("Redrive all", `Redrive all of ${code}`, `redrive-${code}`, () => redrive(`Redrive ${count(total, "message")}?`, { code }, done));
}

export function discardAll(code, total, done) {
  return may("DiscardDeadLetters") && dialogButton("Discard all", `Discard all of ${code}`, `discard-${code}`, () => discard(`Discard ${count(total, "message")}?`, { code }, done), "danger");
}
