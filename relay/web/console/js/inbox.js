/**
 * The inbox: what the `capture` route caught, newest first, and the mail that is chosen beside it.
 */

import { call, get, here, signedOut } from "./api.js";
import { ask } from "./dialogs.js";
import { h, redraw } from "./dom.js";
import { enter } from "./entry.js";
import { live } from "./live.js";
import { button, failed, loading, nothing } from "./parts.js";
import { reader } from "./reader.js";
import { assets, forget } from "./session.js";
import { beat } from "./shell.js";
import { ago, count, freshen } from "./words.js";

const PAGE = 50;
const FULL_LOOK_EVERY = 10;
const SEEN = "relay-seen";
const root = document.getElementById("root");

async function start() {
  const me = await enter(root, { title: "Inbox", hint: "A client's key shows its own mail, an operator's everybody's. It stays in this tab and ends with it." });
  inbox(me);
}

function inbox(me) {
  const signal = new AbortController().signal;
  const seen = new Set(JSON.parse(sessionStorage.getItem(SEEN) ?? "[]"));
  const search = h("input", { type: "search", "aria-label": "Search", placeholder: "Subject, to:ada, from:shop", autocomplete: "off", spellcheck: "false" });
  const rows = h("nav", { class: "inbox-list", "aria-label": "Mails" }, loading());
  const told = h("span", { class: "muted", role: "status" });
  const empty = h("button", { type: "button", class: "quiet", on: { click: removeAll } }, "Delete all");
  const main = h("main", { class: "inbox-main", tabindex: "-1" });
  const out = h("button", { type: "button", class: "quiet", on: { click: signOut } }, "Sign out");
  const side = h("section", { class: "inbox-side", "aria-label": "Inbox" },
    h("div", { class: "inbox-top" }, h("div", {}, h("span", { class: "brand" }, h("img", { src: `${assets}/icon.svg`, alt: "" }), "Inbox"), beat()), search),
    rows,
    h("div", { class: "inbox-foot" }, told, empty),
    h("div", { class: "inbox-foot" }, me.role === "operator" ? h("a", { href: "/console" }, "Console") : h("span", { class: "muted" }, me.name), out));
  const frame = h("div", { class: "inbox" }, side, main);
  root.replaceChildren(frame);

  let mails = null;
  let next = null;
  let looks = 0;
  let newest = null;
  const again = live({ signal, seconds: 3, load: look, draw: drawAll, fail: (error) => mails === null && redraw(rows, failed(error, refresh)) });

  /** The first page; while nothing changed, only the newest mail is asked for, and the whole page every tenth time. */
  async function look() {
    const probe = (await get("/v1/inbox?limit=1", signal)).value[0]?.name ?? null;
    if (mails === null || probe !== newest || probe === null || looks % FULL_LOOK_EVERY === 0) {
      const page = await get(`/v1/inbox?limit=${PAGE}&${filters(search.value)}`, signal);
      newest = probe;
      mails = page.value;
      next = page.next_link ?? null;
    }
    looks += 1;
    return { mails, next };
  }

  function refresh() {
    mails = null;
    again();
  }

  function drawAll() {
    const chosen = name();
    redraw(rows, mails.length ? mails.map((mail) => row(mail, chosen)) : noMail(), next && h("p", { class: "more" }, button("Show older", more, { key: "more" })));
    told.textContent = `${count(mails.length, "mail")}${next ? " or more" : ""}`;
    empty.classList.toggle("hidden", !mails.length);
    if (main.childElementCount === 0) open();
  }

  function row(mail, chosen) {
    const look = seen.has(mail.name) ? "" : "unread";
    return h("a", { href: `#${mail.name}`, class: look, "aria-current": mail.name === chosen ? "true" : null, data: { key: mail.name } },
      h("span", { class: "to" }, mail.to.join(", ")), ago(mail.caught_at),
      h("span", { class: "subject" }, look && h("span", { class: "unseen" }, "New: "), mail.subject || "(no subject)"),
      h("span", { class: "from" }, mail.from));
  }

  function noMail() {
    return search.value.trim() ? nothing("Nothing fits", "No mail has what you look for.") : nothing("No mail yet", "What goes by the capture route appears here within seconds.");
  }

  async function more() {
    const page = await get(here(next), signal);
    mails = [...mails, ...page.value];
    next = page.next_link ?? null;
    drawAll();
  }

  async function open() {
    const chosen = name();
    frame.classList.toggle("reading", chosen !== null);
    for (const each of rows.querySelectorAll("a")) {
      if (each.dataset.key === chosen) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
    if (chosen === null) {
      redraw(main, nothing("Choose a mail", "With the keys j and k one goes down and up."));
      document.title = "Inbox · Relay";
      return;
    }
    seen.add(chosen);
    sessionStorage.setItem(SEEN, JSON.stringify([...seen].slice(-1000)));
    const link = rows.querySelector(`[data-key="${CSS.escape(chosen)}"]`);
    link?.classList.remove("unread");
    link?.querySelector(".unseen")?.remove();
    await reader(main, chosen, { signal, operator: me.role === "operator", removed });
  }

  function removed(gone) {
    mails = mails.filter((mail) => mail.name !== gone);
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
      return `${count(deleted, "mail")} deleted.`;
    };
    await ask({ title: `${String(query) ? "Delete all that fit the search" : "Delete all mail"}?`, text: "They cannot be brought back.", action: "Delete", isDanger: true, run });
  }

  let typing = null;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(refresh, 250);
  });
  addEventListener("hashchange", open);
  addEventListener("keydown", (event) => step(event, rows));
}

/** j and k go down and up the list, as in a mail program. */
function step(event, rows) {
  const move = { j: 1, k: -1 }[event.key];
  if (move === undefined || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select") || document.querySelector("dialog")) return;
  const links = [...rows.querySelectorAll("a")];
  const at = links.findIndex((each) => each.getAttribute("aria-current") === "true");
  const next = links[Math.min(links.length - 1, Math.max(0, at + move))];
  next?.focus();
  next?.click();
}

/** `to:ada from:shop order` as the API's filters: words without a name are for the subject. */
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

function name() {
  return location.hash.length > 1 ? location.hash.slice(1) : null;
}

function signOut() {
  forget();
  location.reload();
}

signedOut.addEventListener("signedout", () => root.querySelector(".inbox") && signOut());
setInterval(freshen, 5000);
start().catch((error) => root.replaceChildren(h("main", { class: "room" }, failed(error, () => location.reload()))));
