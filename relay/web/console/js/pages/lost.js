/**
 * Mail that a provider took and lost: found by what was never reported delivered, counted first, then sent again.
 */

import { call, get } from "../api.js";
import { ask, field } from "../dialogs.js";
import { count } from "../words.js";

const HOUR_MS = 3_600_000;

/** Ask for a route and a time, count, ask again, and send. */
export async function redriveLost(done) {
  const routes = (await get("/v1/routes")).value.map(({ name }) => [name, name]);
  const route = field({ name: "route", label: "Sent by", options: routes });
  const since = field({ name: "sent_since", label: "From", type: "datetime-local", step: "any", value: local(Date.now() - 24 * HOUR_MS) });
  const before = field({ name: "sent_before", label: "Until", type: "datetime-local", step: "any", value: local(Date.now() - HOUR_MS), hint: "In your time. What was sent a moment ago may still be reported." });
  const other = field({ name: "to_route", label: "Send again by", options: [["", "As routing decides"], ...routes] });
  let found = null;
  let wanted = null;
  const isCounted = await ask({
    title: "Send lost mail again",
    text: "For a provider that took mail and delivered none of it. Only what nobody reported as delivered or refused counts as lost.",
    action: "Count",
    fields: [route, since, before, other],
    run: async () => {
      wanted = { route: route.read(), sent_since: iso(since), sent_before: iso(before), without_delivered: true, ...(other.read() && { to_route: other.read() }) };
      found = (await whole({ ...wanted, dry_run: true })).found;
    },
  });
  if (!isCounted) return;
  await ask({
    title: found ? `Send ${count(found, "message")} again?` : "Nothing was lost",
    text: found ? "Whoever got one of them after all gets it twice." : "Every message of this time was reported, or there was none.",
    action: found ? "Send again" : "Close",
    run: async () => {
      if (!found) return null;
      const { redriven } = await whole(wanted);
      done();
      return `${count(redriven, "message")} put back on the queue.`;
    },
  });
}

/** Repeats the call until there is no more; the sums of what it counts. */
async function whole(wanted) {
  const sums = { found: 0, redriven: 0 };
  for (let cursor = null, isMore = true; isMore; ) {
    const told = await call("POST", "/v1/redrive", { body: cursor === null ? wanted : { ...wanted, cursor } });
    sums.found += told.found;
    sums.redriven += told.redriven;
    cursor = told.cursor ?? null;
    isMore = told.is_more;
  }
  return sums;
}

/** A moment as a field of type `datetime-local` has it: in the time of the browser's place, without seconds. */
function local(milliseconds) {
  const at = new Date(milliseconds);
  return new Date(milliseconds - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function iso(moment) {
  return moment.read() ? new Date(moment.read()).toISOString() : "";
}
