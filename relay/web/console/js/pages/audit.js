/**
 * The audit log, newest first. The filters are in the URL, so that a search can be bookmarked and shared.
 */

import { downloadPages, get, localPath } from "../api.js";
import { button, dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, humanize, moment } from "../format.js";
import { t } from "../i18n.js";
import { loadRows } from "../paging.js";
import { saveFile } from "../save-file.js";

const OUTCOMES = ["succeeded", "refused", "failed", "unknown"];
const AGES = [["", t("audit.anyTime")], ["86400", t("messages.lastDay")], ["604800", t("messages.lastWeek")], ["2592000", t("messages.last30Days")]];
const TEXTS = [["client", t("field.client")], ["operation", t("field.operation")], ["target", t("field.target")]];

export async function show({ main, query, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const filters = apiQuery(query);
  const actions = [["CSV", "csv"], [t("audit.jsonLines"), "jsonl"]].map(([format, ending]) => button(t("audit.export", { format }), () => save(ending, filters, signal), { key: ending }));
  main.append(...heading(t("page.audit"), { actions, text: t("audit.text") }).filter(Boolean), h("div", { class: "card" }, searchForm(query), place));
  focusTitle();
  let rows = [];
  let next = null;
  await load();

  async function load() {
    try {
      ({ rows, next } = await loadRows(`/v1/audit?${filters}`, { signal }));
      draw();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      redraw(place, errorState(error, load));
    }
  }

  function draw() {
    const nothing = () => emptyState(next ? t("common.noMatchesYet") : t("audit.none"), next ? t("audit.notSearched") : t("audit.noneText"));
    redraw(place, rows.length ? table(rows) : nothing(), next && h("p", { class: "more" }, button(rows.length ? t("common.showOlder") : t("common.searchFurther"), more, { key: "more" })));
  }

  async function more() {
    const page = await get(localPath(next), signal);
    rows = [...rows, ...page.value];
    next = page.next_link ?? null;
    draw();
  }
}

function apiQuery(query) {
  const names = [...TEXTS.map(([name]) => name), "outcome"];
  const filters = new URLSearchParams([...query].filter(([name, value]) => names.includes(name) && value));
  const age = Number(query.get("age"));
  if (age) filters.set("since", new Date(Date.now() - age * 1000).toISOString());
  return filters;
}

function searchForm(query) {
  const filled = (name) => query.get(name) ?? "";
  const texts = TEXTS.map(([name, label]) => field({ name, label, value: filled(name) }));
  const outcome = field({ name: "outcome", label: t("field.outcome"), options: [["", t("common.any")], ...OUTCOMES.map((each) => [each, humanize(each)])], value: filled("outcome") });
  const age = field({ name: "age", label: t("field.period"), options: AGES, value: filled("age") });
  const fields = [...texts, outcome, age];
  const form = h("form", { class: "search", role: "search" }, fields.map(({ element }) => element), h("button", { type: "submit", class: "primary" }, t("common.search")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = `#/audit?${new URLSearchParams(fields.map((each) => [each.name, each.read()]).filter(([, value]) => value))}`;
  });
  return form;
}

function table(rows) {
  return dataTable(t("audit.log"), [
    { name: t("field.time"), kind: "tight", cell: ({ at }) => moment(at) },
    { name: t("field.client"), cell: ({ client, credential, role, address }) => h("span", { title: [credential, role && humanize(role), address].filter(Boolean).join(", ") }, client) },
    { name: t("field.operation"), cell: ({ operation }) => operation },
    { name: t("field.target"), cell: (row) => h("span", { class: "wide" }, target(row)) },
    { name: t("field.reason"), cell: ({ reason }) => reason || "–" },
    { name: t("field.outcome"), cell: (row) => h("span", { title: effect(row) }, badge(row.outcome), row.code && ` ${row.code}`) },
  ], rows);
}

function target({ target: text, details }) {
  return [text, ...Object.entries(details).map(([name, value]) => `${name}=${value}`)].filter(Boolean).join(" ") || "–";
}

function effect({ request_id: request, before, after }) {
  if (!before || !after) return t("audit.request", { request });
  return t(before === after ? "audit.unchanged" : "audit.changed", { request });
}

async function save(ending, filters, signal) {
  saveFile(await downloadPages(`/v1/audit/export.${ending}?${filters}`, signal), `audit.${ending}`);
  return t("audit.exported");
}
