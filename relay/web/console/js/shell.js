/**
 * The frame around every page: navigation with counts, the signed-in client, and the connection status.
 */

import { h } from "./dom.js";
import { pieces, t } from "./i18n.js";
import { languageSwitch } from "./language-switch.js";
import { connection } from "./poll.js";
import { may } from "./permissions.js";
import { assets } from "./session.js";

/** Groups of pages: the page, its title, and the operation that a role needs for it. */
const LINKS = [
  [["", t("page.overview"), "ShowOverview"], ["messages", t("page.messages"), "ListMessages"], ["deadletters", t("page.deadletters"), "ListDeadLetters"], ["routes", t("page.routes"), "ListRoutes"]],
  [["suppressions", t("page.suppressions"), "ListSuppressions"], ["topics", t("page.topics"), "ListTopics"], ["templates", t("page.templates"), "ListTemplates"], ["webhooks", t("page.webhooks"), "ListWebhooks"]],
  [["clients", t("page.clients"), "ListClients"], ["audit", t("page.audit"), "ListAuditRecords"], ["doctor", t("page.doctor"), "RunDoctor"]],
];

/** Pages that others link to, with the operation that a role needs. */
const LINKED = [["codes", "ListCauses"]];

const permitted = () => LINKS.map((group) => group.filter(([, , operation]) => may(operation))).filter((group) => group.length);

/** Return the page itself if the role may open it, else the first that it may open. */
export function openable(page) {
  const pages = permitted().flat().map(([name]) => name);
  const isLinked = LINKED.some(([name, operation]) => name === page && may(operation));
  return pages.includes(page) || isLinked ? page : (pages[0] ?? "");
}

const counts = new EventTarget();

/** Show a count beside a page's name in the navigation; 0 hides it. */
export function setCount(page, number, { isMore = false } = {}) {
  counts.dispatchEvent(new CustomEvent("count", { detail: { page, text: number ? `${number}${isMore ? "+" : ""}` : "" } }));
}

/** Draw the frame. Returns the element for pages, and a function that marks the current page in the navigation. */
export function shell(root, { me, signOut }) {
  const links = new Map();
  const line = () => h("hr", { "aria-hidden": "true" });
  const items = permitted().flatMap((group) => [...group.map(([page, title]) => {
    const number = h("span", { class: page === "routes" ? "count held hidden" : "count hidden" });
    const link = h("a", { href: `#/${page}` }, title, number);
    links.set(page, { link, number });
    return link;
  }), line()]);
  const pages = h("nav", { class: "pages", id: "pages", "aria-label": t("shell.pages") }, items, may("ListInbox") && h("a", { href: "/inbox" }, `${t("page.inbox")} ↗`), h("a", { href: "/docs" }, "API ↗"));
  const menu = h("button", { class: "menu", type: "button", "aria-expanded": "false", "aria-controls": "pages" }, t("shell.menu"));
  const account = h("div", { class: "account" }, connectionStatus(), h("span", { class: "muted" }, pieces("shell.signedInAs", { name: h("span", { class: "name" }, me.name) })), h("span", { class: "muted" }, t("shell.version", { version: me.version })), h("button", { class: "quiet", type: "button", on: { click: signOut } }, t("shell.signOut")), languageSwitch());
  const bar = h("header", { class: "bar" }, h("a", { class: "brand", href: "#/" }, h("img", { src: `${assets}/icon.svg`, alt: "" }), "Relay"), menu, pages, account);
  const main = h("main", { class: "main", id: "main", tabindex: "-1" });
  const expand = (isOpen) => {
    bar.classList.toggle("open", isOpen);
    menu.setAttribute("aria-expanded", String(isOpen));
  };
  menu.addEventListener("click", () => expand(!bar.classList.contains("open")));
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && bar.classList.contains("open")) {
      expand(false);
      menu.focus();
    }
  });
  counts.addEventListener("count", ({ detail: { page, text } }) => {
    const number = links.get(page)?.number;
    if (!number) return;
    number.textContent = text;
    number.classList.toggle("hidden", !text);
  });
  const skip = h("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); main.focus(); } } }, t("shell.skip"));
  root.replaceChildren(skip, h("div", { class: "shell" }, bar, main));
  const markCurrent = (name) => {
    expand(false);
    for (const [page, { link }] of links) {
      if (page === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };
  return { main, markCurrent };
}

const STATUSES = { live: ["", t("connection.live")], lost: ["lost", t("connection.lost")], paused: ["waiting", t("connection.paused")] };

/** Make the indicator that shows whether the API responds. */
export function connectionStatus() {
  const place = h("span", { class: "connection", role: "status" }, t("connection.live"));
  connection.addEventListener("status", ({ detail: { state } }) => {
    const [style, text] = STATUSES[state];
    place.className = `connection ${style}`;
    if (place.textContent !== text) place.textContent = text;
  });
  return place;
}
