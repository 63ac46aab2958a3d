/**
 * Dead letters of one cause.
 */

import { localPath } from "../api.js";
import { loadCauses } from "../causes.js";
import { button, dataTable, emptyState, errorState, heading, loading, withCode } from "../components.js";
import { h, redraw } from "../dom.js";
import { badge, moment } from "../format.js";
import { t } from "../i18n.js";
import { loadRows } from "../paging.js";
import { may } from "../permissions.js";
import { poll } from "../poll.js";
import { discard, discardAll, redrive, redriveAll } from "./redrive.js";

export async function show({ main, one: code, signal, focusTitle }) {
  const selected = new Set();
  const place = h("div", {}, loading());
  const tools = h("div", { class: "actions" });
  const cause = (await loadCauses(signal))[code];
  const text = cause && [cause.meaning, t("sentence.separator"), withCode(cause.fix)];
  main.append(...heading(code, { text, crumb: [t("page.deadletters"), "#/deadletters"] }).filter(Boolean), h("div", { class: "card" }, h("header", {}, tools), place));
  focusTitle();
  let rows = null;
  let next = null;
  const refresh = poll({
    signal,
    seconds: 10,
    load: () => loadRows(`/v1/deadletters?code=${encodeURIComponent(code)}`, { minimum: rows?.length, signal }),
    draw(loaded) {
      ({ rows, next } = loaded);
      draw();
    },
    fail: (error) => rows === null && redraw(place, errorState(error, refresh)),
  });

  function done() {
    selected.clear();
    refresh();
  }

  function draw() {
    for (const id of [...selected]) if (!rows.some((row) => row.id === id)) selected.delete(id);
    redraw(place, rows.length ? table() : emptyState(t("deadletters.none"), t("deadletters.noneOfCause")), next && h("p", { class: "more" }, button(t("common.showMore"), more, { key: "more" })));
    redraw(tools, selected.size ? selectionActions() : [redriveAll(code, rows.length, done), discardAll(code, rows.length, done)]);
    tools.classList.toggle("hidden", !rows.length || !may("RedriveDeadLetters"));
  }

  async function more() {
    const page = await loadRows(localPath(next), { signal });
    rows = [...rows, ...page.rows];
    next = page.next;
    draw();
  }

  function selectionActions() {
    const ids = [...selected];
    return [
      h("span", { class: "muted", role: "status" }, t("deadletters.selected", { count: ids.length })),
      h("button", { type: "button", class: "primary", data: { key: "redrive" }, on: { click: () => redrive(t("redrive.many", { count: ids.length }), { ids }, done) } }, t("redrive.action")),
      h("button", { type: "button", class: "danger", data: { key: "discard" }, on: { click: () => discard(t("discard.many", { count: ids.length }), { ids }, done) } }, t("discard.action")),
    ];
  }

  function checkbox(id) {
    const change = ({ target }) => {
      if (target.checked) selected.add(id);
      else selected.delete(id);
      draw();
    };
    return h("input", { type: "checkbox", checked: selected.has(id), "aria-label": t("deadletters.select", { id }), data: { key: `select-${id}` }, on: { change } });
  }

  function table() {
    return dataTable(t("deadletters.of", { code }), [
      ...(may("RedriveDeadLetters") ? [{ name: t("field.select"), kind: "tight", cell: ({ id }) => checkbox(id) }] : []),
      { name: t("field.message"), cell: ({ id }) => h("a", { class: "mono wide", href: `#/messages/${id}`, data: { key: `open-${id}` } }, id) },
      { name: t("field.state"), cell: ({ state }) => badge(state) },
      { name: t("field.client"), cell: ({ client }) => client },
      { name: t("field.failed"), kind: "tight", cell: ({ at }) => moment(at) },
    ], rows);
  }
}
