/**
 * One message: state, attempts with the provider's replies, later events, and content.
 */

import { call, download, get } from "../api.js";
import { codeLink, codeName, loadMeanings } from "../causes.js";
import { copyText } from "../clipboard.js";
import { button, card, copyable, definitions, errorState, heading, loading } from "../components.js";
import { curl } from "../curl.js";
import { openDialog } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { arrivalBadge, byteSize, duration, humanize, listed, mailbox, moment, toneOf } from "../format.js";
import { pieces, t } from "../i18n.js";
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
  const content = h("div", { class: "content" }, loading(t("message.loadingContent")));
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
      redraw(head, heading(titleOf(message), { crumb: [t("page.messages"), "#/messages"], actions: [arrivalBadge(message), ...actions(message, refresh)] }));
      redraw(history, timeline(message, meanings), recipientList(message, meanings), about(message));
      if (message.erased_at) redraw(content, card(t("message.content"), h("p", { class: "inside muted" }, t("message.contentErased"))));
      else if (!hasContent) showContent();
      if (isFirst) focusTitle();
    },
    fail: (error) => loaded === null && (redraw(history), redraw(content, errorState(error, refresh))),
  });

  async function showContent() {
    if (!may("ShowMessageContent")) {
      redraw(content, card(t("message.content"), h("p", { class: "inside muted" }, t("message.noContent"))));
      return;
    }
    try {
      const mail = await get(`${path}/content`, signal);
      hasContent = true;
      redraw(content, mailView(mail, {
        source: async () => (await download(`${path}/source`, signal)).text(),
        file: (number) => download(`${path}/attachments/${number}`, signal),
        note: t("message.sourceNote"),
      }));
    } catch (error) {
      if (error.name !== "AbortError" && !hasContent) redraw(content, card(t("message.content"), h("p", { class: "inside muted" }, error.message)));
    }
  }
}

function titleOf({ id, erased_at: erasedAt, subject }) {
  if (!may("ShowMessageContent")) return id;
  return erasedAt ? t("messages.erased") : subject || t("messages.noSubject");
}

function actions(message, refresh) {
  const { id, state, erased_at: erasedAt, attempts = [] } = message;
  const copy = button(t("common.copyCurl"), () => copyText(curl(`/v1/messages/${id}`)), { key: "curl" });
  if (erasedAt) return [copy];
  const cancel = () => openDialog({
    title: t("message.cancelTitle"),
    text: t("message.cancelText"),
    action: t("message.cancelAction"),
    isDanger: true,
    run: async () => { await call("DELETE", `/v1/messages/${id}`); refresh(); return t("message.cancelled"); },
  });
  return [
    copy,
    may("ResendMessage") && attempts.some(({ outcome }) => outcome === "sent") && h("button", { type: "button", data: { key: "resend" }, on: { click: () => resend(message, refresh) } }, t("resend.action")),
    may("CancelMessage") && WAITING.includes(state) && h("button", { type: "button", data: { key: "cancel" }, on: { click: cancel } }, t("message.cancel")),
    may("RedriveMessage") && FAILED.includes(state) && h("button", { type: "button", class: "primary", data: { key: "redrive" }, on: { click: () => redrive(t("redrive.one"), { ids: [id] }, refresh) } }, t("redrive.action")),
    may("DiscardDeadLetters") && FAILED.includes(state) && h("button", { type: "button", class: "danger", data: { key: "discard" }, on: { click: () => discard(t("discard.one"), { ids: [id] }, refresh) } }, t("discard.action")),
  ].filter(Boolean);
}

function about(message) {
  const pairs = [
    [t("field.from"), message.from && mailbox(message.from)],
    [t("field.accepted"), moment(message.created_at)],
    [t("field.erased"), message.erased_at && moment(message.erased_at)],
    [t("field.sendAt"), message.send_at && moment(message.send_at)],
    [t("field.nextAttempt"), message.next_attempt_at && moment(message.next_attempt_at)],
    [t("field.expires"), message.expires_at && moment(message.expires_at)],
    [t("field.client"), message.client && (may("ListClients") ? h("a", { href: `#/clients/${message.client}`, data: { key: "client" } }, message.client) : message.client)],
    [t("field.lane"), message.lane],
    [t("field.delivery"), message.delivery && humanize(message.delivery)],
    [t("field.size"), message.size && byteSize(message.size)],
    [t("field.topic"), message.topic],
    [t("field.tags"), message.tags?.join(", ")],
    [t("field.metadata"), Object.entries(message.metadata ?? {}).map(([name, value]) => h("div", {}, h("span", { class: "muted" }, name, ": "), value))],
    [t("field.id"), copyable(message.id)],
  ];
  return card(t("common.about"), h("div", { class: "inside" }, definitions(...pairs)));
}

function recipientList({ recipients = [] }, meanings) {
  if (!recipients.length) return null;
  const rows = recipients.map((each) => h("li", {},
    h("span", { class: "wide" }, mailbox(each), each.kind === "to" ? null : h("span", { class: "muted small" }, ` ${each.kind}`)),
    h("span", {}, each.route && h("span", { class: "muted small" }, `${each.route} `), arrivalBadge(each)),
    each.code && h("span", { class: "muted small" }, meanings[each.code] ?? codeName(each.code), " ", codeLink(each.code, meanings, `recipient-${each.email}`))));
  return card(t("message.recipients", { count: recipients.length }), h("ul", { class: "recipients" }, rows));
}

function timeline(message, meanings) {
  const steps = [
    { at: message.created_at, state: "in_progress", what: t("message.accepted"), by: message.client },
    ...(message.attempts ?? []).map((attempt) => ({ ...attempt, state: toneOf(attempt.outcome), what: t("message.attempt", { number: attempt.number, outcome: humanize(attempt.outcome) }), by: `${attempt.route === attempt.provider ? attempt.route : `${attempt.route} (${attempt.provider})`}, ${duration(attempt.seconds ?? 0)}` })),
    ...(message.events ?? []).map((event) => ({ ...event, state: toneOf(event.kind), what: humanize(event.kind), by: [event.recipient, event.provider].filter(Boolean).join(", "), ...(event.answer && answered(event)) })),
  ].sort((one, other) => new Date(one.at) - new Date(other.at));
  return card(t("message.timeline"), h("ol", { class: "timeline" }, steps.map((each, index) => step(each, meanings, index))));
}

/** The provider of a reply says nothing: its writer does, who need not be the recipient. */
function answered({ recipient, answer }) {
  const files = answer.attachments?.length ? t("message.attachments", { names: listed(answer.attachments) }) : "";
  return { by: answer.from === recipient ? recipient : t("message.replyFrom", { address: answer.from ?? t("message.unknownAddress") }), reply: [answer.text, answer.is_truncated && "…", files].filter(Boolean).join("\n\n") };
}

function step({ at, state, what, by, code, reply, provider_id: name, verified }, meanings, index) {
  return h("li", { class: state },
    h("div", { class: "when" }, h("strong", {}, what), h("span", { class: "muted small" }, moment(at))),
    by && h("p", { class: "muted small wide" }, by),
    code && h("p", { class: "small" }, meanings[code] ?? codeName(code), " ", codeLink(code, meanings, `step-${index}`)),
    verified && h("p", { class: "small" }, t("message.verified", { number: verified })),
    reply && h("pre", {}, reply),
    name && h("p", { class: "muted small wide" }, pieces("message.providerId", { id: h("code", {}, name) })));
}

