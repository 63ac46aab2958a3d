/**
 * The frame around every page: the bar with its pages, what needs attention, who is signed in, and whether answers come.
 */

import { h } from "./dom.js";
import { pulse } from "./live.js";
import { assets } from "./session.js";

const LINKS = [
  ["", "Overview"],
  ["messages", "Messages"],
  ["deadletters", "Dead letters"],
  ["routes", "Routes"],
  null,
  ["suppressions", "Suppressions"],
  ["templates", "Templates"],
  ["webhooks", "Web hooks"],
  null,
  ["clients", "Clients"],
  ["doctor", "Doctor"],
];

const counts = new EventTarget();

/** Show a number beside a page's name; none for 0. */
export function attention(page, number, { isMore = false } = {}) {
  counts.dispatchEvent(new CustomEvent("count", { detail: { page, text: number ? `${number}${isMore ? "+" : ""}` : "" } }));
}

/** Draw the frame; what pages are drawn in, and what marks the page that is open. */
export function shell(root, { me, signOut }) {
  const links = new Map();
  const items = LINKS.map((each) => {
    if (each === null) return h("hr", { "aria-hidden": "true" });
    const number = h("span", { class: each[0] === "routes" ? "count held hidden" : "count hidden" });
    const link = h("a", { href: `#/${each[0]}` }, each[1], number);
    links.set(each[0], { link, number });
    return link;
  });
  const pages = h("nav", { class: "pages", id: "pages", "aria-label": "Pages" }, items, h("hr", { "aria-hidden": "true" }), h("a", { href: "/inbox" }, "Inbox ↗"), h("a", { href: "/docs" }, "API ↗"));
  const menu = h("button", { class: "menu", type: "button", "aria-expanded": "false", "aria-controls": "pages" }, "Menu");
  const who = h("div", { class: "who" }, beat(), h("span", {}, h("span", { class: "muted" }, "Signed in as "), me.name), h("button", { class: "quiet", type: "button", on: { click: signOut } }, "Sign out"));
  const bar = h("header", { class: "bar" }, h("a", { class: "brand", href: "#/" }, h("img", { src: `${assets}/icon.svg`, alt: "" }), "Relay"), menu, pages, who);
  const room = h("main", { class: "room", id: "room", tabindex: "-1" });
  const unfold = (isOpen) => {
    bar.classList.toggle("open", isOpen);
    menu.setAttribute("aria-expanded", String(isOpen));
  };
  menu.addEventListener("click", () => unfold(!bar.classList.contains("open")));
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && bar.classList.contains("open")) {
      unfold(false);
      menu.focus();
    }
  });
  counts.addEventListener("count", ({ detail: { page, text } }) => {
    const { number } = links.get(page);
    number.textContent = text;
    number.classList.toggle("hidden", !text);
  });
  const skip = h("a", { class: "skip", href: "#room", on: { click: (event) => { event.preventDefault(); room.focus(); } } }, "Skip to the page");
  root.replaceChildren(skip, h("div", { class: "shell" }, bar, room));
  const mark = (name) => {
    unfold(false);
    for (const [page, { link }] of links) {
      if (page === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };
  return { room, mark };
}

const BEATS = { live: ["pulse", "Live"], lost: ["pulse lost", "No answer, trying again"], resting: ["pulse waiting", "Resting"] };

/** Whether answers come. */
export function beat() {
  const place = h("span", { class: "pulse", role: "status" }, "Live");
  pulse.addEventListener("beat", ({ detail: { state } }) => {
    const [look, text] = BEATS[state];
    place.className = look;
    if (place.textContent !== text) place.textContent = text;
  });
  return place;
}
