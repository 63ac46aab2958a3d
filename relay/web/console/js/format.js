/**
 * Format numbers, times and states.
 */

import { h } from "./dom.js";
import { locale, messageOr, t } from "./i18n.js";

const numbers = new Intl.NumberFormat(locale);
const days = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const times = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const moments = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
const shortDays = new Intl.DateTimeFormat(locale, { weekday: "short", hour: "numeric", minute: "2-digit" });

export function number(value) {
  return numbers.format(value);
}

/** Format a part of 1, such as 0.05, as a percentage. */
export function percent(part, { digits = 0 } = {}) {
  return t("unit.percent", { value: (100 * part).toLocaleString(locale, { maximumFractionDigits: digits }) });
}

/** Format several values as one text. */
export function listed(texts) {
  return texts.join(t("list.separator"));
}

export function byteSize(value) {
  if (value < 1000) return t("unit.byte", { count: value });
  const isSmall = value < 999_500;
  const scaled = value / (isSmall ? 1000 : 1_000_000);
  return t(isSmall ? "unit.kB" : "unit.MB", { value: scaled.toLocaleString(locale, { maximumFractionDigits: scaled < 10 ? 1 : 0 }) });
}

/** Format a duration in its two largest units. */
export function duration(seconds) {
  if (seconds < 1) return t("unit.ms", { count: Math.round(seconds * 1000) });
  if (seconds < 10) return t("unit.s", { count: seconds.toLocaleString(locale, { maximumFractionDigits: 1 }) });
  return inUnits(seconds).join(" ");
}

/** Divide a duration into its two largest units. */
function inUnits(seconds) {
  const units = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  const parts = [];
  let left = Math.round(seconds);
  for (const [unit, size] of units.slice(first, first + 2)) {
    const whole = Math.floor(left / size);
    left -= whole * size;
    if (whole) parts.push(t(`unit.${unit}`, { count: whole }));
  }
  return parts;
}

/** Format a time in local time, with UTC on hover; the date is left out for today. */
export function moment(text) {
  if (text == null) return h("span", { class: "muted" }, "–");
  const at = new Date(text);
  const isToday = days.format(at) === days.format(new Date());
  return h("time", { datetime: at.toISOString(), title: utc(at) }, (isToday ? times : moments).format(at));
}

/** Format a time relative to now; `updateAges` keeps it current. With `isDue`, a time in the past is shown as `now`. */
export function ago(text, { isDue = false } = {}) {
  if (text == null) return h("span", { class: "muted" }, "–");
  const at = new Date(text);
  return h("time", { datetime: at.toISOString(), title: `${moments.format(at)} (${utc(at)})`, data: { ago: isDue ? "due" : "" } }, relative(at, isDue));
}

function utc(at) {
  return `${at.toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

function relative(at, isDue) {
  const seconds = (at - Date.now()) / 1000;
  if (isDue && seconds < 5) return t("time.due");
  if (Math.abs(seconds) < 5) return t("time.now");
  const [largest] = inUnits(Math.abs(seconds));
  return seconds < 0 ? t("time.ago", { time: largest }) : t("time.in", { time: largest });
}

/** Update every relative time on the page. */
export function updateAges() {
  for (const each of document.querySelectorAll("time[data-ago]")) {
    const text = relative(new Date(each.dateTime), each.dataset.ago === "due");
    if (each.textContent !== text) each.textContent = text;
  }
}

/** Format a time on the chart's axis. */
export function axisTime(text, span) {
  const at = new Date(text);
  return span === "week" ? shortDays.format(at) : minutes.format(at);
}

const TONES = {
  awaited: "in_progress", not_reported: "",
  sent: "good", delivered: "good", succeeded: "good", enabled: "good", ok: "good", active: "good", healthy: "good",
  queued: "in_progress", sending: "in_progress", scheduled: "in_progress", trial: "in_progress", processed: "in_progress", opened: "in_progress", clicked: "in_progress",
  deferred: "warn", warning: "warn", interrupted: "warn", unknown: "bad", not_sent: "warn",
  held: "held", route_fault: "held", paused: "held",
  exhausted: "bad", gone: "bad", disabled: "bad", failed: "bad", rejected: "bad", expired: "bad", bounced: "bad", complained: "bad", fault: "bad", suppressed: "bad", unsubscribed: "warn",
};

/** Return the CSS class that colors a state. */
export function toneOf(state) {
  return TONES[state] ?? "";
}

/** Format a value of the API: `not_sent` becomes `not sent`. */
export function humanize(word) {
  return messageOr(`word.${word}`, String(word).replaceAll("_", " "));
}

/** Make the badge of a state. */
export function badge(state, text = humanize(state)) {
  return h("span", { class: `badge ${toneOf(state)}` }, text);
}

/** Make the badge of a message or a recipient: whether it arrived, once it was sent, else its state. */
export function arrivalBadge({ state, arrival, bounce_type: type }) {
  const isSent = arrival && ["sent", "delivered", "bounced", "complained", "suppressed"].includes(state);
  if (!isSent) return badge(state);
  const text = type ? t(`bounce.${type}`) : t(`arrival.${arrival}`);
  return h("span", { class: `badge ${type === "soft" ? "warn" : toneOf(arrival)}`, title: t(`arrival.${arrival}.meaning`) }, text);
}

/** Format a mailbox: `Name <local@domain>`. */
export function mailbox({ email, name }) {
  return name ? `${name} <${email}>` : email;
}

/** Offer a line break before the @ of an address, so that a narrow column does not break it inside a word. */
export function breakable(text) {
  return text.split(/(?=@)/).flatMap((piece, at) => (at ? [h("wbr"), piece] : [piece]));
}

/** Say by which figures a client is held. */
export function holdFigures({ code, sent, bounced, complained }) {
  return code === "complaint_rate" ? t("hold.complained", { part: complained, count: sent }) : t("hold.bounced", { part: bounced, count: sent });
}
