/**
 * One message's whole story: where it stands, each attempt with the provider's own words, later events, and what it says.
 */

import { bytes as download, call, get } from "../api.js";
import { meaningOf } from "../causes.js";
import { ask } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { mailView } from "../mail.js";
import { card, copied, facts, failed, heading, loading } from "../parts.js";
import { badge, bytes, count, duration, look, mailbox, moment, plain } from "../words.js";
import { discard, redrive } from "./redriving.js";

const WAITING = ["scheduled", "deferred", "held", "queued"];
const DEAD = ["failed", "expired", "unknown"];

export async function show({ room, one: id, signal, focusTitle }) {
  const path = `/v1/messages/${encodeURIComponent(id)}`;
  const head = h("div");
  const story = h("div", {}, loading());
  const content = h("div", { class: "content" }, loading("Loading the content"));
  room.append(head, h("div", { class: "two-columns" }, h("div", { class: "stack" }, content), h("div", { class: "stack" }, story)));
  let known = null;
  let hasContent = false;
  const again = live({
    signal,
    seconds: 3,
    load: async () => ({ message: await get(path, signal), meanings: await meaningOf(signal) }),
    draw({ message, meanings }) {
      const isFirst = known === null;
      known = message;
      redraw(head, heading(titleOf(message), { crumb: ["Messages", "#/messages"], actions: [badge(message.state), ...actions(message, again)] }));
      redraw(story, happened(message, meanings), people(message, meanings), about(message));
      if (message.erased_at) redraw(content, card("Content", h("p", { class: "inside muted" }, "It was erased, and so were the addresses, the providers' words and the later events.")));
      else if (!hasContent) showContent();
      if (isFirst) focusTitle();
    },
    fail: (error) => known === null && (redraw(story), redraw(content, failed(error, again))),
  });

  async function showContent() {
    try {
      const told = await get(`${path}/content`, signal);
      hasContent = true;
      redraw(content, mailView(told, {
        source: async () => (await download(`${path}/source`, signal)).text(),
        file: (number) => download(`${path}/attachments/${number}`, signal),
        note: "As Relay writes it for SMTP; SendGrid and ACS write their own.",
      }));
    } catch (error) {
      if (error.name !== "AbortError" && !hasContent) redraw(content, card("Content", h("p", { class: "inside muted" }, error.message)));
    }
  }
}

function titleOf({ erased_at: erasedAt, subject }) {
  return erasedAt ? "(erased)" : subject || "(no subject)";
}

function actions({ id, state, erased_at: erasedAt }, again) {
  if (erasedAt) return [];
  const cancel = () => ask({
    title: "Cancel this message?",
    text: "It is not sent any more. Recipients that have it already keep it.",
    action: "Cancel the message",
    isDanger: true,
    run: async () => { await call("DELETE", `/v1/messages/${id}`); again(); return "The message is cancelled."; },
  });
  return [
    WAITING.includes(state) && h("button", { type: "button", data: { key: "cancel" }, on: { click: cancel } }, "Cancel"),
    DEAD.includes(state) && h("button", { type: "button", class: "primary", data: { key: "redrive" }, on: { click: () => redrive("Redrive this message?", { ids: [id] }, again) } }, "Redrive"),
    DEAD.includes(state) && h("button", { type: "button", class: "danger", data: { key: "discard" }, on: { click: () => discard("Discard this dead letter?", { ids: [id] }, again) } }, "Discard"),
  ].filter(Boolean);
}

function about(message) {
  const pairs = [
    ["From", message.from && mailbox(message.from)],
    ["Accepted", moment(message.created_at)],
    ["Erased", message.erased_at && moment(message.erased_at)],
    ["Send at", message.send_at && moment(message.send_at)],
    ["Next attempt", message.next_attempt_at && moment(message.next_attempt_at)],
    ["Expires", message.expires_at && moment(message.expires_at)],
    ["Client", message.client && h("a", { href: `#/clients/${message.client}`, data: { key: "client" } }, message.client)],
    ["Lane", message.lane],
    ["Delivery", message.delivery && plain(message.delivery)],
    ["Size", message.size && bytes(message.size)],
    ["Tags", message.tags?.join(", ")],
    ["Metadata", Object.entries(message.metadata ?? {}).map(([name, value]) => h("div", {}, h("span", { class: "muted" }, name, ": "), value))],
    ["Id", copied(message.id)],
  ];
  return card("About", h("div", { class: "inside" }, facts(...pairs)));
}

function people({ recipients = [] }, meanings) {
  if (!recipients.length) return null;
  const rows = recipients.map((each) => h("li", {},
    h("span", { class: "wide" }, mailbox(each), each.kind === "to" ? null : h("span", { class: "muted small" }, ` ${each.kind}`)),
    h("span", {}, each.route && h("span", { class: "muted small" }, `${each.route} `), badge(each.state)),
    each.code && h("span", { class: "muted small" }, meanings[each.code] ?? plain(each.code))));
  return card(count(recipients.length, "recipient"), h("ul", { class: "people" }, rows));
}

function happened(message, meanings) {
  const steps = [
    { at: message.created_at, state: "moving", what: "Accepted", by: message.client },
    ...(message.attempts ?? []).map((attempt) => ({ ...attempt, state: look(attempt.outcome), what: `Attempt ${attempt.number}: ${plain(attempt.outcome)}`, by: `${attempt.route === attempt.provider ? attempt.route : `${attempt.route} (${attempt.provider})`}, ${duration(attempt.seconds ?? 0)}` })),
    ...(message.events ?? []).map((event) => ({ ...event, state: look(event.kind), what: plain(event.kind), by: [event.recipient, event.provider].filter(Boolean).join(", ") })),
  ].sort((one, other) => new Date(one.at) - new Date(other.at));
  return card("Story", h("ol", { class: "story" }, steps.map((each) => step(each, meanings))));
}

function step({ at, state, what, by, code, reply, provider_id: name }, meanings) {
  return h("li", { class: state },
    h("div", { class: "when" }, h("strong", {}, what), h("span", { class: "muted small" }, moment(at))),
    by && h("p", { class: "muted small wide" }, by),
    code && h("p", { class: "small" }, meanings[code] ?? plain(code), " ", h("code", { class: "muted" }, code)),
    reply && h("pre", {}, reply),
    name && h("p", { class: "muted small wide" }, "Provider's id: ", h("code", {}, name)));
}

