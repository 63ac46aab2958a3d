/**
 * One message: state, attempts with the provider's replies, later events, and content.
 */

import { call, download, get } from "../api.js";
import { codeLink, loadMeanings } from "../causes.js";
import { copyText } from "../clipboard.js";
import { button, card, copyable, definitions, errorState, heading, loading } from "../components.js";
import { curl } from "../curl.js";
import { openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { arrivalBadge, byteSize, count, duration, humanize, mailbox, moment, toneOf } from "../format.js";
import { mailView } from "../mail-view.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";
import { discard, redrive, resend } from "./redrive.js";

const WAITING = ["scheduled", "deferred", "held", "queued"];
const FAILED = ["failed", "expired", "unknown"];

export async function show({ main, one: id, signal, focusTitle }) {
  const path = `/v1/messages/${encodeURIComponent(id)}`;
  const head = h("div");
  const history = h("div", {}, loading());
  const content = h("div", { class: "content" }, loading("Loading content"));
  main.append(head, h("div", { class: "two-columns" }, h("div", { class: "stack" }, content), h("div", { class: "stack" }, history)));
  let loaded = null;
  let hasContent = false;
  const refresh = poll({
    signal,
    seconds: 3,
    load: async () => ({ message: await get(path, signal), meanings: await loadMeanings(signal) }),
    draw({ message, meanings }) {
      const isFirst = loaded === null;
      loaded = message;
      redraw(head, heading(titleOf(message), { crumb: ["Messages", "#/messages"], actions: [arrivalBadge(message), ...actions(message, refresh)] }));
      redraw(history, timeline(message, meanings), recipientList(message, meanings), about(message));
      if (message.erased_at) redraw(content, card("Content", h("p", { class: "inside muted" }, "Erased, together with addresses, provider replies and later events.")));
      else if (!hasContent) showContent();
      if (isFirst) focusTitle();
    },
    fail: (error) => loaded === null && (redraw(history), redraw(content, errorState(error, refresh))),
  });

  async function showContent() {
    if (!may("ShowMessageContent")) {
      redraw(content, card("Content", h("p", { class: "inside muted" }, "Your role sees states, and no content.")));
      return;
    }
    try {
      const mail = await get(`${path}/content`, signal);
      hasContent = true;
      redraw(content, mailView(mail, {
        source: async () => (await download(`${path}/source`, signal)).text(),
        file: (number) => download(`${path}/attachments/${number}`, signal),
        note: "The source as Relay writes it for SMTP. SendGrid and ACS build their own.",
      }));
    } catch (error) {
      if (error.name !== "AbortError" && !hasContent) redraw(content, card("Content", h("p", { class: "inside muted" }, error.message)));
    }
  }
}

function titleOf({ id, erased_at: erasedAt, subject }) {
  if (!may("ShowMessageContent")) return id;
  return erasedAt ? "(erased)" : subject || "(no subject)";
}

function actions(message, refresh) {
  const { id, state, erased_at: erasedAt, attempts = [] } = message;
  const copy = button("Copy as curl", () => copyText(curl(`/v1/messages/${id}`)), { key: "curl" });
  if (erasedAt) return [copy];
  const cancel = () => openDialog({
    title: "Cancel this message?",
    text: "Relay stops sending it. Recipients that already received it keep it.",
    action: "Cancel message",
    isDanger: true,
    run: async () => { await call("DELETE", `/v1/messages/${id}`); refresh(); return "Message cancelled."; },
  });
  return [
    copy,
    may("ResendMessage") && attempts.some(({ outcome }) => outcome === "sent") && h("button", { type: "button", data: { key: "resend" }, on: { click: () => resend(message, refresh) } }, "Resend"),
    may("CancelMessage") && WAITING.includes(state) && h("button", { type: "button", data: { key: "cancel" }, on: { click: cancel } }, "Cancel"),
    may("RedriveMessage") && FAILED.includes(state) && h("button", { type: "button", class: "primary", data: { key: "redrive" }, on: { click: () => redrive("Redrive this message?", { ids: [id] }, refresh) } }, "Redrive"),
    may("DiscardDeadLetters") && FAILED.includes(state) && h("button", { type: "button", class: "danger", data: { key: "discard" }, on: { click: () => discard("Discard this dead letter?", { ids: [id] }, refresh) } }, "Discard"),
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
    ["Client", message.client && (may("ListClients") ? h("a", { href: `#/clients/${message.client}`, data: { key: "client" } }, message.client) : message.client)],
    ["Lane", message.lane],
    ["Delivery", message.delivery && humanize(message.delivery)],
    ["Size", message.size && byteSize(message.size)],
    ["Tags", message.tags?.join(", ")],
    ["Metadata", Object.entries(message.metadata ?? {}).map(([name, value]) => h("div", {}, h("span", { class: "muted" }, name, ": "), value))],
    ["ID", copyable(message.id)],
  ];
  return card("About", h("div", { class: "inside" }, definitions(...pairs)));
}

function recipientList({ recipients = [] }, meanings) {
  if (!recipients.length) return null;
  const rows = recipients.map((each) => h("li", {},
    h("span", { class: "wide" }, mailbox(each), each.kind === "to" ? null : h("span", { class: "muted small" }, ` ${each.kind}`)),
    h("span", {}, each.route && h("span", { class: "muted small" }, `${each.route} `), arrivalBadge(each)),
    each.code && h("span", { class: "muted small" }, meanings[each.code] ?? humanize(each.code), " ", codeLink(each.code, meanings, `recipient-${each.email}`))));
  return card(count(recipients.length, "recipient"), h("ul", { class: "recipients" }, rows));
}

function timeline(message, meanings) {
  const steps = [
    { at: message.created_at, state: "in_progress", what: "Accepted", by: message.client },
    ...(message.attempts ?? []).map((attempt) => ({ ...attempt, state: toneOf(attempt.outcome), what: `Attempt ${attempt.number}: ${humanize(attempt.outcome)}`, by: `${attempt.route === attempt.provider ? attempt.route : `${attempt.route} (${attempt.provider})`}, ${duration(attempt.seconds ?? 0)}` })),
    ...(message.events ?? []).map((event) => ({ ...event, state: toneOf(event.kind), what: humanize(event.kind), by: [event.recipient, event.provider].filter(Boolean).join(", "), ...(event.answer && answered(event)) })),
  ].sort((one, other) => new Date(one.at) - new Date(other.at));
  return card("Timeline", h("ol", { class: "timeline" }, steps.map((each, index) => step(each, meanings, index))));
}

/** The provider of a reply says nothing: its writer does, who need not be the recipient. */
function answered({ recipient, answer }) {
  const files = answer.attachments?.length ? `Attachments: ${answer.attachments.join(", ")}` : "";
  return { by: answer.from === recipient ? recipient : `From ${answer.from ?? "an unknown address"}`, reply: [answer.text, answer.is_truncated && "…", files].filter(Boolean).join("\n\n") };
}

function step({ at, state, what, by, code, reply, provider_id: name, verified }, meanings, index) {
  return h("li", { class: state },
    h("div", { class: "when" }, h("strong", {}, what), h("span", { class: "muted small" }, moment(at))),
    by && h("p", { class: "muted small wide" }, by),
    code && h("p", { class: "small" }, meanings[code] ?? humanize(code), " ", codeLink(code, meanings, `step-${index}`)),
    verified && h("p", { class: "small" }, `Nothing was sent: the provider has the mail of attempt ${verified}.`),
    reply && h("pre", {}, reply),
    name && h("p", { class: "muted small wide" }, "Provider's ID: ", h("code", {}, name)));
}

