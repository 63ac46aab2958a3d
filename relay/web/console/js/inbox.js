/**
 * The inbox: mail captured by the `capture` route, newest first, with the selected message beside the list.
 */

import { call, get, localPath, signedOut } from "./api.js";
import { button, emptyState, errorState, loading } from "./components.js";
import { openDialog } from "./dialogs.js";
import { h, redraw } from "./dom.js";
import { ago, updateAges } from "./format.js";
import { t } from "./i18n.js";
import { showMail } from "./inbox-message.js";
import { languageSwitch } from "./language-switch.js";
import { loadRows } from "./paging.js";
import { poll } from "./poll.js";
import { assets, clearKey } from "./session.js";
import { connectionStatus } from "./shell.js";
import { signIn } from "./sign-in.js";

const PAGE = 50;
const FULL_LOAD_EVERY = 10;
const SEEN = "relay-seen";
const root = document.getElementById("root");

async function start() {
  const me = await signIn(root, { title: t("page.inbox"), hint: t("signIn.inboxHint") });
  inbox(me);
}

function inbox(me) {
  const signal = new AbortController().signal;
  const seen = new Set(JSON.parse(sessionStorage.getItem(SEEN) ?? "[]"));
  const search = h("input", { type: "search", "aria-label": t("common.search"), placeholder: t("inbox.search"), autocomplete: "off", spellcheck: "false" });
  const rows = h("nav", { class: "inbox-list", "aria-label": t("page.messages") }, loading());
  const total = h("span", { class: "muted", role: "status" });
  const deleteAll = h("button", { type: "button", class: "quiet", on: { click: removeAll } }, t("inbox.deleteAll"));
  const main = h("main", { class: "inbox-main", tabindex: "-1" });
  const out = h("button", { type: "button", class: "quiet", on: { click: signOut } }, t("shell.signOut"));
  const side = h("section", { class: "inbox-side", "aria-label": t("page.inbox") },
    h("div", { class: "inbox-top" }, h("div", {}, h("span", { class: "brand" }, h("img", { src: `${assets}/icon.svg`, alt: "" }), t("page.inbox")), connectionStatus()), search),
    rows,
    h("div", { class: "inbox-foot" }, total, deleteAll),
    h("div", { class: "inbox-foot" }, me.role === "operator" ? h("a", { href: "/console" }, t("page.console")) : h("span", { class: "muted" }, me.name), languageSwitch(), out));
  const frame = h("div", { class: "inbox" }, side, main);
  root.replaceChildren(frame);

  let mails = [];
  let next = null;
  let polls = 0;
  let newest = null;
  // Numbers of the list that is wanted and of the one that is loaded: a search can change while a call is under way.
  let version = 1;
  let loadedVersion = 0;
  const pollNow = poll({ signal, seconds: 3, load, draw: drawAll, fail: (error) => loadedVersion !== version && redraw(rows, errorState(error, refresh)) });

  /** Load the list. Polls ask only for the newest mail; if it is the same, the list is reloaded every tenth time only. */
  async function load() {
    const probe = (await get("/v1/inbox?limit=1", signal)).value[0]?.name ?? null;
    const asked = version;
    if (loadedVersion !== asked || probe !== newest || probe === null || polls % FULL_LOAD_EVERY === 0) {
      const minimum = loadedVersion === asked ? mails.length : 0;
      const page = await loadRows(`/v1/inbox?limit=${PAGE}&${filters(search.value)}`, { minimum, signal });
      newest = probe;
      mails = page.rows;
      next = page.next;
      loadedVersion = asked;
    }
    polls += 1;
    return { mails, next };
  }

  function refresh() {
    version += 1;
    pollNow();
  }

  function drawAll() {
    const selected = selectedName();
    redraw(rows, mails.length ? mails.map((mail) => row(mail, selected)) : noMail(), next && h("p", { class: "more" }, button(t("common.showOlder"), more, { key: "more" })));
    total.textContent = t(next ? "inbox.countOrMore" : "inbox.count", { count: mails.length });
    deleteAll.classList.toggle("hidden", !mails.length);
    if (main.childElementCount === 0) open();
  }

  function row(mail, selected) {
    const style = seen.has(mail.name) ? "" : "unread";
    return h("a", { href: `#${mail.name}`, class: style, "aria-current": mail.name === selected ? "true" : null, data: { key: mail.name } },
      h("span", { class: "to" }, mail.to.join(", ")), ago(mail.caught_at),
      h("span", { class: "subject" }, style && h("span", { class: "visually-hidden" }, t("inbox.new")), mail.subject || t("messages.noSubject")),
      h("span", { class: "from" }, mail.from));
  }

  function noMail() {
    return search.value.trim() ? emptyState(t("messages.noMatches"), t("inbox.noMatchesText")) : emptyState(t("inbox.none"), t("inbox.noneText"));
  }

  async function more() {
    const page = await loadRows(localPath(next), { signal });
    mails = [...mails, ...page.rows];
    next = page.next;
    drawAll();
  }

  async function open() {
    const selected = selectedName();
    frame.classList.toggle("reading", selected !== null);
    for (const each of rows.querySelectorAll("a")) {
      if (each.dataset.key === selected) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
    if (selected === null) {
      redraw(main, emptyState(t("inbox.select"), t("inbox.selectText")));
      document.title = `${t("page.inbox")} · Relay`;
      return;
    }
    seen.add(selected);
    sessionStorage.setItem(SEEN, JSON.stringify([...seen].slice(-1000)));
    const link = rows.querySelector(`[data-key="${CSS.escape(selected)}"]`);
    link?.classList.remove("unread");
    link?.querySelector(".visually-hidden")?.remove();
    await showMail(main, selected, { signal, operator: me.role === "operator", removed });
  }

  function removed(deleted) {
    mails = mails.filter((mail) => mail.name !== deleted);
    location.hash = "";
    drawAll();
    refresh();
  }

  async function removeAll() {
    const query = filters(search.value);
    const run = async () => {
      const { deleted } = await call("DELETE", `/v1/inbox?${query}`);
      location.hash = "";
      refresh();
      return t("inbox.deletedCount", { count: deleted });
    };
    await openDialog({ title: String(query) ? t("inbox.deleteMatches") : t("inbox.deleteAllTitle"), text: t("inbox.deleteText"), action: t("common.delete"), isDanger: true, run });
  }

  let typing = null;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(refresh, 250);
  });
  addEventListener("hashchange", open);
  addEventListener("keydown", (event) => step(event, rows));
}

/** Move down and up the list with j and k, as in a mail program. */
function step(event, rows) {
  const move = { j: 1, k: -1 }[event.key];
  if (move === undefined || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select") || document.querySelector("dialog")) return;
  const links = [...rows.querySelectorAll("a")];
  const at = links.findIndex((each) => each.getAttribute("aria-current") === "true");
  const next = links[Math.min(links.length - 1, Math.max(0, at + move))];
  next?.focus();
  next?.click();
}

/** Convert a search such as `to:ada from:shop order` to the API's filters. Words without a prefix search the subject. */
function filters(text) {
  const found = new URLSearchParams();
  const words = [];
  for (const word of text.trim().split(/\s+/).filter(Boolean)) {
    const [, name, value] = word.match(/^(to|from|subject):(.+)$/i) ?? [];
    if (name) found.set(name.toLowerCase(), value);
    else words.push(word);
  }
  if (words.length) found.set("subject", words.join(" "));
  return found;
}

/** Return the name of the selected mail, which is the URL's hash. */
function selectedName() {
  return location.hash.length > 1 ? location.hash.slice(1) : null;
}

function signOut() {
  clearKey();
  location.reload();
}

signedOut.addEventListener("signedout", () => root.querySelector(".inbox") && signOut());
setInterval(updateAges, 5000);
start().catch((error) => root.replaceChildren(h("main", { class: "main" }, errorState(error, () => location.reload()))));
