/**
 * A mail as it looks, as text, as it travels. Its html is shown in a frame that the server answers for: with a policy of its
 * own, without scripts, without an origin, and without anything from elsewhere.
 */

import { here } from "./api.js";
import { h, newId, redraw } from "./dom.js";
import { button, list, nothing } from "./parts.js";
import { bytes, count } from "./words.js";

const WIDTHS = [["", "Wide"], ["narrow", "Phone"]];

/**
 * The view of a mail: `{html, html_url, text, headers, links, attachments}`. `source` gives its source, `file` the bytes of the
 * attachment of a number, `note` says what the source is.
 */
export function mailView(mail, { source, file, note = null }) {
  const place = h("div", { class: "mail-body", role: "tabpanel", tabindex: "0", id: newId() });
  const tabs = [
    mail.html !== null && ["Rendered", () => rendered(mail)],
    mail.text !== null && ["Text", () => h("pre", {}, mail.text)],
    ["Source", () => later(source, note)],
    ["Headers", () => headers(mail)],
    ["Attachments", () => attachments(mail, file), mail.attachments.length],
    mail.html !== null && ["Links", () => links(mail)],
  ].filter(Boolean);
  const buttons = tabs.map(([name, draw, number]) => {
    const tab = h("button", { type: "button", role: "tab", "aria-controls": place.id, id: newId(), "aria-selected": "false", tabindex: "-1", data: { key: `tab-${name}` } }, number ? `${name} (${number})` : name);
    tab.addEventListener("click", () => open(tab, draw));
    return tab;
  });
  const bar = h("div", { class: "switch", role: "tablist", "aria-label": "Views of the mail" }, buttons);
  bar.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = buttons.indexOf(document.activeElement);
    if (move === undefined || at < 0) return;
    const next = buttons[(at + move + buttons.length) % buttons.length];
    next.focus();
    next.click();
  });
  function open(tab, draw) {
    for (const each of buttons) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
    }
    place.setAttribute("aria-labelledby", tab.id);
    redraw(place, draw());
  }
  open(buttons[0], tabs[0][1]);
  return h("section", { class: "card", "aria-label": "Content" }, h("div", { class: "mail-head" }, bar), place);
}

/** The html that an address answers with, in a frame of the width of a desk or a phone. */
export function rendered({ html_url: url }) {
  const frame = h("iframe", { src: here(url), sandbox: true, referrerpolicy: "no-referrer", title: "The mail, rendered", loading: "eager" });
  const room = h("div", { class: "frame-room" }, frame);
  const widths = WIDTHS.map(([look, text]) => {
    const made = h("button", { type: "button", "aria-pressed": String(look === "") }, text);
    made.addEventListener("click", () => {
      room.className = `frame-room ${look}`;
      for (const each of widths) each.setAttribute("aria-pressed", String(each === made));
    });
    return made;
  });
  return [
    h("div", { class: "mail-note mail-widths" }, h("span", {}, "No scripts, nothing from elsewhere."), h("div", { class: "switch", role: "group", "aria-label": "Width" }, widths)),
    room,
  ];
}

function later(source, note) {
  const text = h("pre", { tabindex: "0" }, "Loading…");
  source().then((told) => { text.textContent = told; }, (error) => { text.textContent = error.message; });
  return [note && h("p", { class: "mail-note" }, note), text];
}

function headers({ headers: rows }) {
  return list("Headers", [{ name: "Name", kind: "tight", cell: ({ name }) => name }, { name: "Value", cell: ({ value }) => h("span", { class: "wide" }, value) }], rows);
}

function attachments({ attachments: files }, file) {
  if (!files.length) return nothing("No attachments", null);
  const rows = files.map((each, number) => ({ ...each, number }));
  const save = async ({ name, number }) => {
    const url = URL.createObjectURL(await file(number));
    h("a", { href: url, download: name ?? `attachment-${number}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    return `${name ?? "The attachment"} is saved.`;
  };
  return list("Attachments", [
    { name: "Name", cell: ({ name, disposition }) => h("span", { class: "wide" }, name ?? "(no name)", disposition === "inline" && h("span", { class: "muted small" }, " inline")) },
    { name: "Type", cell: ({ type }) => type },
    { name: "Size", kind: "number tight", cell: ({ size }) => bytes(size) },
    { name: "", kind: "tight", cell: (row) => h("div", { class: "actions" }, button("Save", () => save(row), { label: `Save ${row.name ?? row.number}` })) },
  ], rows);
}

/** Where the mail's links lead: what is written and what is behind it, side by side. They open in a tab of their own. */
function links({ links: rows }) {
  if (!rows.length) return nothing("No links", null);
  return [
    h("p", { class: "mail-note" }, `${count(rows.length, "link")}. Following one tells its owner that somebody read the mail.`),
    list("Links", [{ name: "Text", cell: ({ text }) => text || "–" }, { name: "Leads to", cell: ({ href }) => leads(href) }], rows),
  ];
}

function leads(target) {
  const text = h("code", { class: "wide" }, target);
  return /^https?:/i.test(target) ? h("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, text) : text;
}
