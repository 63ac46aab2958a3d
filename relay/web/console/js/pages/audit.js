/**
 * The audit log, newest first. The filters are in the URL, so that a search can be bookmarked and shared.
 */

import { downloadPages, get, localPath } from "../api.js";
import { button, dataTable, emptyState, errorState, heading, loading } from "../components.js";
import { field } from "../dialogs.js";
import { h, redraw } from "../dom.js";
import { badge, moment } from "../format.js";
import { loadRows } from "../paging.js";
import { saveFile } from "../save-file.js";

const OUTCOMES = ["succeeded", "refused", "failed", "unknown"];
const AGES = [["", "Any time"], ["86400", "Last day"], ["604800", "Last week"], ["2592000", "Last 30 days"]];
const TEXTS = [["client", "Client"], ["operation", "Operation"], ["target", "Target"]];

export async function show({ main, query, signal, focusTitle }) {
  const place = h("div", {}, loading());
  const filters = apiQuery(query);
  const actions = [["CSV", "csv"], ["JSON lines", "jsonl"]].map(([name, ending]) => button(`Export ${name}`, () => save(ending, filters, signal), { key: ending }));
  main.append(...heading("Audit", { actions, text: "Every call that changed something, or tried to. Reading and sending are not recorded here." }).filter(Boolean), h("div", { class: "card" }, searchForm(query), place));
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
    const nothing = () => emptyState(next ? "No matches so far" : "No records", next ? "Older records have not been searched yet." : "No recorded call matches.");
    redraw(place, rows.length ? table(rows) : nothing(), next && h("p", { class: "more" }, button(rows.length ? "Show older" : "Search further back", more, { key: "more" })));
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
  const outcome = field({ name: "outcome", label: "Outcome", options: [["", "Any"], ...OUTCOMES.map((each) => [each, each])], value: filled("outcome") });
  const age = field({ name: "age", label: "Period", options: AGES, value: filled("age") });
  const fields = [...texts, outcome, age];
  const form = h("form", { class: "search", role: "search" }, fields.map(({ element }) => element), h("button", { type: "submit", class: "primary" }, "Search"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = `#/audit?${new URLSearchParams(fields.map((each) => [each.name, each.read()]).filter(([, value]) => value))}`;
  });
  return form;
}

function table(rows) {
  return dataTable("Audit log", [
    { name: "Time", kind: "tight", cell: ({ at }) => moment(at) },
    { name: "Client", cell: ({ client, credential, role, address }) => h("span", { title: [credential, role, address].filter(Boolean).join(", ") }, client) },
    { name: "Operation", cell: ({ operation }) => operation },
    { name: "Target", cell: (row) => h("span", { class: "wide" }, target(row)) },
    { name: "Reason", cell: ({ reason }) => reason || "–" },
    { name: "Outcome", cell: (row) => h("span", { title: effect(row) }, badge(row.outcome), row.code && ` ${row.code}`) },
  ], rows);
}

function target({ target: text, details }) {
  return [text, ...Object.entries(details).map(([name, value]) => `${name}=${value}`)].filter(Boolean).join(" ") || "–";
}

function effect({ request_id: request, before, after }) {
  const change = before && after ? (before === after ? "Nothing changed. " : "Changed. ") : "";
  return `${change}Request ${request}`;
}

async function save(ending, filters, signal) {
  saveFile(await downloadPages(`/v1/audit/export.${ending}?${filters}`, signal), `audit.${ending}`);
  return "Audit log exported.";
}
