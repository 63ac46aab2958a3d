/**
 * The console: signs in, shows the frame with the bar of pages, and opens the page that the address names.
 */

import { signedOut } from "./api.js";
import { h } from "./dom.js";
import { enter } from "./entry.js";
import { failed } from "./parts.js";
import { forget } from "./session.js";
import { shell } from "./shell.js";
import { freshen } from "./words.js";
import { show as client } from "./pages/client.js";
import { show as clients } from "./pages/clients.js";
import { show as deadletters } from "./pages/deadletters.js";
import { show as doctor } from "./pages/doctor.js";
import { show as letters } from "./pages/letters.js";
import { show as message } from "./pages/message.js";
import { show as messages } from "./pages/messages.js";
import { show as overview } from "./pages/overview.js";
import { show as routes } from "./pages/routes.js";
import { show as suppressions } from "./pages/suppressions.js";
import { show as template } from "./pages/template.js";
import { show as templates } from "./pages/templates.js";
import { show as webhook } from "./pages/webhook.js";
import { show as webhooks } from "./pages/webhooks.js";

/** The pages by the first word of the address; with a second word, the page of that one thing. */
const PAGES = {
  "": { title: "Overview", list: overview },
  messages: { title: "Messages", list: messages, one: message },
  deadletters: { title: "Dead letters", list: deadletters, one: letters },
  routes: { title: "Routes", list: routes },
  suppressions: { title: "Suppressions", list: suppressions },
  templates: { title: "Templates", list: templates, one: template },
  webhooks: { title: "Web hooks", list: webhooks, one: webhook },
  clients: { title: "Clients", list: clients, one: client },
  doctor: { title: "Doctor", list: doctor },
};

const root = document.getElementById("root");
let leaving = new AbortController();

async function start() {
  const me = await enter(root, { title: "Console", hint: "An operator's key. It stays in this tab and ends with it." });
  const { room, mark } = shell(root, { me, signOut });
  addEventListener("hashchange", () => open(room, mark, me));
  await open(room, mark, me);
}

async function open(room, mark, me) {
  leaving.abort();
  leaving = new AbortController();
  const { page, name, one, query } = where();
  mark(name);
  document.title = `${one ?? page.title} · Relay`;
  room.replaceChildren();
  scrollTo(0, 0);
  const context = { room, one, query, me, signal: leaving.signal, focusTitle: () => room.querySelector("h1")?.focus({ preventScroll: true }) };
  try {
    await (one === null ? page.list : page.one)(context);
  } catch (error) {
    if (error.name !== "AbortError") room.replaceChildren(failed(error, () => open(room, mark, me)));
  }
  if (!context.signal.aborted) context.focusTitle();
}

/** What the address names: `#/messages/msg_…?state=failed`. What there is no page for is the overview. */
function where() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [first, second] = path.split("/");
  const name = Object.hasOwn(PAGES, first) ? first : "";
  const page = PAGES[name];
  const one = second && page.one ? decodeURIComponent(second) : null;
  return { page, name, one, query: new URLSearchParams(query) };
}

function signOut() {
  forget();
  location.reload();
}

signedOut.addEventListener("signedout", () => leaving.signal.aborted || (root.querySelector(".shell") && signOut()));
setInterval(freshen, 5000);
start().catch((error) => root.replaceChildren(h("main", { class: "room" }, failed(error, () => location.reload()))));
