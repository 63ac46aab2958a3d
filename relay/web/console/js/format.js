/**
 * Format numbers, times and states.
 */

import { h } from "./dom.js";

const numbers = new Intl.NumberFormat();
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const times = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const shortDays = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });

export function number(value) {
  return numbers.format(value);
}

/** Format a count: `1 message`, `2 messages`. */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

export function byteSize(value) {
  if (value < 1000) return count(value, "byte");
  const [scale, unit] = value < 999_500 ? [1000, "kB"] : [1_000_000, "MB"];
  return `${(value / scale).toLocaleString(undefined, { maximumFractionDigits: value / scale < 10 ? 1 : 0 })} ${unit}`;
}

/** Format a duration in its two largest units. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toLocaleString(undefined, { maximumFractionDigits: 1 })} s`;
  const units = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  const parts = [];
  let left = Math.round(seconds);
  for (const [unit, size] of units.slice(first, first + 2)) {
    const whole = Math.floor(left / size);
    left -= whole * size;
    if (whole) parts.push(`${whole} ${unit}`);
  }
  return parts.join(" ");
}

/** Format a time in local time, with UTC on hover; the date is left out for today. */
export function moment(text, { isShort = false } = {}) {
  if (text == null) return h("span", { class: "muted" }, "–");
  const at = new Date(text);
  const isToday = dates.format(at) === dates.format(new Date());
  const clock = isShort ? minutes.format(at) : times.format(at);
  const shown = isToday ? clock : `${dates.format(at)}, ${clock}`;
  return h("time", { datetime: at.toISOString(), title: utc(at) }, shown);
}

/** Format a time relative to now; `updateAges` keeps it current. With `isDue`, a time in the past is shown as `now`. */
export function ago(text, { isDue = false } = {}) {
  if (text == null) return h("span", { class: "muted" }, "–");
  const at = new Date(text);
  return h("time", { datetime: at.toISOString(), title: `${dates.format(at)}, ${times.format(at)} (${utc(at)})`, data: { ago: isDue ? "due" : "" } }, relative(at, isDue));
}

function utc(at) {
  return `${at.toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

function relative(at, isDue) {
  const seconds = (at - Date.now()) / 1000;
  if (Math.abs(seconds) < 5 || (isDue && seconds < 0)) return "now";
  const [first] = duration(Math.abs(seconds)).match(/^\S+ \S+/);
  return seconds < 0 ? `${first.replace(/^(\d+)[.,]\d+ s/, "$1 s")} ago` : `in ${first}`;
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

const ARRIVAL_MEANINGS = {
  complained: "The recipient reported the mail as spam.",
  bounced: "The mail will not arrive.",
  suppressed: "The mail was not sent: the address is on a suppression list.",
  not_reported: "This provider reports no deliveries, so nothing more is known.",
  awaited: "The provider has not reported anything yet.",
  delivered: "The recipient's server accepted the mail.",
};

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
  return String(word).replaceAll("_", " ");
}

/** Make the badge of a state. */
export function badge(state, text = humanize(state)) {
  return h("span", { class: `badge ${toneOf(state)}` }, text);
}

/** Make the badge of a message or a recipient: whether it arrived, once it was sent, else its state. */
export function arrivalBadge({ state, arrival, bounce_type: type }) {
  const isSent = arrival && ["sent", "delivered", "bounced", "complained", "suppressed"].includes(state);
  if (!isSent) return badge(state);
  const text = type ? `${type} bounce` : arrival === "not_reported" ? "sent, not reported" : arrival === "awaited" ? "sent" : humanize(arrival);
  return h("span", { class: `badge ${type === "soft" ? "warn" : toneOf(arrival)}`, title: ARRIVAL_MEANINGS[arrival] }, text);
}

/** Format a mailbox: `Name <local@domain>`. */
export function mailbox({ email, name }) {
  return name ? `${name} <${email}>` : email;
}

/** Say by which figures a client is held. */
export function holdFigures({ code, sent, bounced, complained }) {
  const [part, what] = code === "complaint_rate" ? [complained, "reported as spam"] : [bounced, "bounced"];
  return `${number(part)} of ${count(sent, "copy", "copies")} ${what}`;
}
