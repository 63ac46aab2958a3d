/**
 * Putting dead letters back, or taking them off the list: one, several, or all of a cause.
 */

import { call, get } from "../api.js";
import { ask, field } from "../dialogs.js";
import { h } from "../dom.js";
import { count } from "../words.js";

function opens(text, label, key, open, kind = "") {
  return h("button", { type: "button", class: kind, "aria-label": label, data: { key }, on: { click: open } }, text);
}

/** Repeats a call until it says that there is no more; the sum of what it counts. */
async function whole(path, body, counted) {
  let sum = 0;
  for (let isMore = true; isMore; ) {
    const told = await call("POST", path, { body });
    sum += told[counted];
    isMore = told.is_more && told[counted] > 0;
  }
  return sum;
}

/** Ask how, and put back what `choice` (`{ids}` or `{code}`) names. */
export async function redrive(title, choice, done) {
  const routes = (await get("/v1/routes")).value;
  const route = field({ name: "route", label: "Route", options: [["", "As routing decides"], ...routes.map(({ name, state }) => [name, state === "active" ? name : `${name} (${state})`])] });
  const sender = field({ name: "sender", label: "Sender", hint: "Another From address, where the old one was the cause. Empty: as it was.", placeholder: "Shop <orders@example.com>" });
  const run = async () => {
    const how = { ...(route.read() && { route: route.read() }), ...(sender.read() && { sender: sender.read() }) };
    const sum = await whole("/v1/deadletters/redrive", { ...choice, ...how }, "redriven");
    done();
    return sum ? `${count(sum, "message")} put back on the queue.` : "Nothing was dead any more.";
  };
  await ask({ title, text: "They are sent again from the start, with the content they had. What may have been sent already may arrive twice.", action: "Redrive", fields: [route, sender], run });
}

/** Ask, and take off the list what `choice` names. */
export async function discard(title, choice, done) {
  const run = async () => {
    const sum = await whole("/v1/deadletters/discard", choice, "discarded");
    done();
    return `${count(sum, "message")} taken off the list.`;
  };
  await ask({ title, text: "They leave this list and cannot be put back from here. Their records stay until the retention ends.", action: "Discard", isDanger: true, run });
}

export function redriveAll(code, many, done) {
  return opens("Redrive all", `Redrive all of ${code}`, `redrive-${code}`, () => redrive(`Redrive ${count(many, "message")}?`, { code }, done));
}

export function discardAll(code, many, done) {
  return opens("Discard all", `Discard all of ${code}`, `discard-${code}`, () => discard(`Discard ${count(many, "message")}?`, { code }, done), "danger");
}
