/**
 * One captured message, with its actions.
 */

import { call, download, get } from "./api.js";
import { button, definitions, errorState, loading } from "./components.js";
import { h, redraw } from "./dom.js";
import { byteSize, moment } from "./format.js";
import { t } from "./i18n.js";
import { mailView } from "./mail-view.js";
import { saveFile } from "./save-file.js";
import { runAction } from "./toasts.js";

/** Show the captured mail `name` in `place`. Calls `removed(name)` after it was deleted. */
export async function showMail(place, name, { signal, operator, removed }) {
  const path = `/v1/inbox/${encodeURIComponent(name)}`;
  redraw(place, loading());
  try {
    const mail = await get(path, signal);
    if (location.hash.slice(1) !== name) return;
    document.title = `${mail.subject || t("messages.noSubject")} · ${t("page.inbox")}`;
    redraw(place, body(mail, path, { operator, removed, signal }));
    place.scrollTop = 0;
  } catch (error) {
    if (error.name !== "AbortError") redraw(place, backLink(), errorState(error, () => showMail(place, name, { signal, operator, removed })));
  }
}

function backLink() {
  return h("a", { class: "button back", href: "#" }, `← ${t("inbox.all")}`);
}

function body(mail, path, { operator, removed, signal }) {
  const remove = async () => {
    await call("DELETE", path);
    removed(mail.name);
    return t("inbox.deleted");
  };
  const save = async () => {
    saveFile(await download(`${path}/source`, signal), "mail.eml");
  };
  const files = mail.attachments.map((each) => ({ ...each, size: sizeOf(each.content) }));
  const from = mail.headers.find(({ name }) => name.toLowerCase() === "from")?.value ?? mail.from;
  return [
    backLink(),
    h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, mail.subject || t("messages.noSubject")),
      h("div", { class: "actions" }, h("button", { type: "button", on: { click: ({ currentTarget }) => runAction(currentTarget, save) } }, t("inbox.saveSource")), button(t("common.delete"), remove, { kind: "danger" }))),
    definitions(
      [t("field.from"), from],
      [t("field.to"), mail.to.join(", ")],
      [t("field.received"), moment(mail.caught_at)],
      [t("field.size"), byteSize(mail.size)],
      [t("field.message"), operator ? h("a", { class: "mono", href: `/console#/messages/${mail.message}` }, mail.message) : h("code", {}, mail.message)]),
    mailView({ ...mail, attachments: files }, {
      source: async () => (await download(`${path}/source`, signal)).text(),
      file: async (number) => new Blob([decoded(files[number].content)], { type: "application/octet-stream" }),
    }),
  ];
}

function sizeOf(base64) {
  return Math.floor((base64.length * 3) / 4) - (base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0);
}

function decoded(base64) {
  return Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
}
