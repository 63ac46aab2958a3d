/**
 * Views of a mail: rendered, text, source, headers, attachments, links. The HTML is a page of its own from the server, in a
 * sandboxed frame: its content security policy allows no scripts and no remote content, and it has no origin.
 */

import { localPath } from "./api.js";
import { button, dataTable, emptyState } from "./components.js";
import { h, newId, redraw } from "./dom.js";
import { byteSize } from "./format.js";
import { t } from "./i18n.js";
import { saveFile } from "./save-file.js";

const WIDTHS = [["", t("mail.desktop")], ["narrow", t("mail.phone")]];

/**
 * Make the views of a mail `{html, html_url, text, headers, links, attachments}`. `source` loads its source, `file` the bytes of
 * an attachment by its index; `note` explains the source.
 */
export function mailView(mail, { source, file, note = null }) {
  const place = h("div", { class: "mail-body", role: "tabpanel", tabindex: "0", id: newId() });
  const tabs = [
    mail.html !== null && [t("mail.rendered"), () => htmlFrame(mail)],
    mail.text !== null && [t("mail.text"), () => h("pre", {}, mail.text)],
    [t("mail.source"), () => loadedSource(source, note)],
    [t("mail.headers"), () => headers(mail)],
    [t("mail.attachments"), () => attachments(mail, file), mail.attachments.length],
    mail.html !== null && [t("mail.links"), () => links(mail)],
  ].filter(Boolean);
  const buttons = tabs.map(([name, draw, number]) => {
    const tab = h("button", { type: "button", role: "tab", "aria-controls": place.id, id: newId(), "aria-selected": "false", tabindex: "-1", data: { key: `tab-${name}` } }, number ? t("mail.tabCount", { name, count: number }) : name);
    tab.addEventListener("click", () => open(tab, draw));
    return tab;
  });
  const bar = h("div", { class: "segmented", role: "tablist", "aria-label": t("mail.views") }, buttons);
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
  return h("section", { class: "card", "aria-label": t("message.content") }, h("div", { class: "mail-head" }, bar), place);
}

/** Show the HTML page of a signed link in a sandboxed frame, at the width of a desktop or a phone. */
export function htmlFrame({ html_url: url }) {
  const frame = h("iframe", { src: localPath(url), sandbox: true, referrerpolicy: "no-referrer", title: t("mail.frame"), loading: "eager" });
  const box = h("div", { class: "frame-box" }, frame);
  const widths = WIDTHS.map(([width, text]) => {
    const control = h("button", { type: "button", "aria-pressed": String(width === "") }, text);
    control.addEventListener("click", () => {
      box.className = `frame-box ${width}`;
      for (const each of widths) each.setAttribute("aria-pressed", String(each === control));
    });
    return control;
  });
  return [
    h("div", { class: "mail-note mail-widths" }, h("span", {}, t("mail.blocked")), h("div", { class: "segmented", role: "group", "aria-label": t("mail.width") }, widths)),
    box,
  ];
}

function loadedSource(source, note) {
  const text = h("pre", { tabindex: "0" }, t("mail.loading"));
  source().then((content) => { text.textContent = content; }, (error) => { text.textContent = error.message; });
  return [note && h("p", { class: "mail-note" }, note), text];
}

function headers({ headers: rows }) {
  return dataTable(t("mail.headers"), [{ name: t("field.name"), kind: "tight", cell: ({ name }) => name }, { name: t("field.value"), cell: ({ value }) => h("span", { class: "wide" }, value) }], rows);
}

function attachments({ attachments: files }, file) {
  if (!files.length) return emptyState(t("mail.noAttachments"), null);
  const rows = files.map((each, number) => ({ ...each, number }));
  const save = async ({ name, number }) => {
    saveFile(await file(number), name ?? `attachment-${number}`);
    return t("mail.saved", { name: name ?? t("mail.attachment") });
  };
  return dataTable(t("mail.attachments"), [
    { name: t("field.name"), cell: ({ name, disposition }) => h("span", { class: "wide" }, name ?? t("mail.noName"), disposition === "inline" && h("span", { class: "muted small" }, ` ${t("mail.inline")}`)) },
    { name: t("field.type"), cell: ({ type }) => type },
    { name: t("field.size"), kind: "number tight", cell: ({ size }) => byteSize(size) },
    { name: "", kind: "tight", cell: (row) => h("div", { class: "actions" }, button(t("common.save"), () => save(row), { label: t("mail.save", { name: row.name ?? row.number }) })) },
  ], rows);
}

/** List the mail's links with text and target side by side, so that a mismatch shows. They open in a new tab. */
function links({ links: rows }) {
  if (!rows.length) return emptyState(t("mail.noLinks"), null);
  return [
    h("p", { class: "mail-note" }, t("mail.linksNote", { count: rows.length })),
    dataTable(t("mail.links"), [{ name: t("field.text"), cell: ({ text }) => text || "–" }, { name: t("mail.linkTarget"), cell: ({ href }) => target(href) }], rows),
  ];
}

function target(href) {
  const text = h("code", { class: "wide" }, href);
  return /^https?:/i.test(href) ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, text) : text;
}
