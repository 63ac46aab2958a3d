/**
 * The dead letters of one cause.
 */

import { get, here } from "../api.js";
import { meaningOf } from "../causes.js";
import { h, redraw } from "../dom.js";
import { live } from "../live.js";
import { button, failed, heading, list, loading, nothing } from "../parts.js";
import { badge, count, moment } from "../words.js";
import { discard, discardAll, redrive, redriveAll } from "./redriving.js";

export async function show({ room, one: code, signal, focusTitle }) {
  const chosen = new Set();
  const place = h("div", {}, loading());
  const tools = h("div", { class: "actions" });
  const text = (await meaningOf(signal))[code] ?? null;
  room.append(...heading(code, { text, crumb: ["Dead letters", "#/deadletters"] }).filter(Boolean), h("div", { class: "card" }, h("header", {}, tools), place));
  focusTitle();
  let rows = null;
  let next = null;
  const again = live({
    signal,
    seconds: 10,
    load: () => get(`/v1/deadletters?code=${encodeURIComponent(code)}`, signal),
    draw({ value, next_link: link }) {
      rows = value;
      next = link ?? null;
      draw();
    },
    fail: (error) => rows === null && redraw(place, failed(error, again)),
  });

  function done() {
    chosen.clear();
    again();
  }

  function draw() {
    for (const id of [...chosen]) if (!rows.some((row) => row.id === id)) chosen.delete(id);
    redraw(place, rows.length ? table() : nothing("None of this cause", "They were put back, discarded, or purged."), next && h("p", { class: "more" }, button("Show more", more, { key: "more" })));
    redraw(tools, chosen.size ? ofChosen() : [redriveAll(code, rows.length, done), discardAll(code, rows.length, done)]);
    tools.classList.toggle("hidden", !rows.length);
  }

  async function more() {
    const told = await get(here(next), signal);
    rows = [...rows, ...told.value];
    next = told.next_link ?? null;
    draw();
  }

  function ofChosen() {
    const ids = [...chosen];
    return [
      h("span", { class: "muted", role: "status" }, `${count(ids.length, "message")} chosen`),
      h("button", { type: "button", class: "primary", data: { key: "redrive" }, on: { click: () => redrive(`Redrive ${count(ids.length, "message")}?`, { ids }, done) } }, "Redrive"),
      h("button", { type: "button", class: "danger", data: { key: "discard" }, on: { click: () => discard(`Discard ${count(ids.length, "message")}?`, { ids }, done) } }, "Discard"),
    ];
  }

  function choice(id) {
    const change = ({ target }) => {
      if (target.checked) chosen.add(id);
      else chosen.delete(id);
      draw();
    };
    return h("input", { type: "checkbox", checked: chosen.has(id), "aria-label": `Choose ${id}`, data: { key: `choose-${id}` }, on: { change } });
  }

  function table() {
    return list(`Dead letters of ${code}`, [
      { name: "Choose", kind: "tight", cell: ({ id }) => choice(id) },
      { name: "Message", cell: ({ id }) => h("a", { class: "mono wide", href: `#/messages/${id}`, data: { key: `open-${id}` } }, id) },
      { name: "State", cell: ({ state }) => badge(state) },
      { name: "Client", cell: ({ client }) => client },
      { name: "Died", kind: "tight", cell: ({ at }) => moment(at) },
    ], rows);
  }
}
