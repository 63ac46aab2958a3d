/**
 * The console: sign in, draw the navigation, and open the page named in the URL.
 */

import { signedOut } from "./api.js";
import { errorState } from "./components.js";
import { h } from "./dom.js";
import { updateAges } from "./format.js";
import { t } from "./i18n.js";
import { clearKey } from "./session.js";
import { openable, shell } from "./shell.js";
import { signIn } from "./sign-in.js";
import { show as audit } from "./pages/audit.js";
import { show as client } from "./pages/client.js";
import { show as clients } from "./pages/clients.js";
import { list as codes, show as code } from "./pages/codes.js";
import { show as deadletterCause } from "./pages/deadletter-cause.js";
import { show as deadletters } from "./pages/deadletters.js";
import { show as doctor } from "./pages/doctor.js";
import { show as message } from "./pages/message.js";
import { show as messages } from "./pages/messages.js";
import { show as overview } from "./pages/overview.js";
import { show as routes } from "./pages/routes.js";
import { show as suppressions } from "./pages/suppressions.js";
import { show as template } from "./pages/template.js";
import { show as templates } from "./pages/templates.js";
import { show as topics } from "./pages/topics.js";
import { show as webhook } from "./pages/webhook.js";
import { show as webhooks } from "./pages/webhooks.js";

/** Pages by the first segment of the URL's hash; `one` is the page of a single item, named by the second segment. */
const PAGES = {
  "": { title: t("page.overview"), list: overview },
  messages: { title: t("page.messages"), list: messages, one: message },
  deadletters: { title: t("page.deadletters"), list: deadletters, one: deadletterCause },
  routes: { title: t("page.routes"), list: routes },
  suppressions: { title: t("page.suppressions"), list: suppressions },
  topics: { title: t("page.topics"), list: topics },
  templates: { title: t("page.templates"), list: templates, one: template },
  webhooks: { title: t("page.webhooks"), list: webhooks, one: webhook },
  clients: { title: t("page.clients"), list: clients, one: client },
  audit: { title: t("page.audit"), list: audit },
  doctor: { title: t("page.doctor"), list: doctor },
  codes: { title: t("page.codes"), list: codes, one: code },
};

const root = document.getElementById("root");
let leaving = new AbortController();

async function start() {
  const me = await signIn(root, { title: t("page.console"), hint: t("signIn.consoleHint") });
  const { main, markCurrent } = shell(root, { me, signOut });
  addEventListener("hashchange", () => open(main, markCurrent, me));
  await open(main, markCurrent, me);
}

async function open(main, markCurrent, me) {
  leaving.abort();
  leaving = new AbortController();
  const { page, name, one, query } = currentPage();
  markCurrent(name);
  document.title = `${one ?? page.title} · Relay`;
  main.replaceChildren();
  scrollTo(0, 0);
  const context = { main, one, query, me, signal: leaving.signal, focusTitle: () => main.querySelector("h1")?.focus({ preventScroll: true }) };
  try {
    await (one === null ? page.list : page.one)(context);
  } catch (error) {
    if (error.name !== "AbortError") main.replaceChildren(errorState(error, () => open(main, markCurrent, me)));
  }
  if (!context.signal.aborted) context.focusTitle();
}

/** Parse the URL's hash, such as `#/messages/msg_…?state=failed`. An unknown page is the overview, and one that the role may not open is the first that it may. */
function currentPage() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [first, second] = path.split("/");
  const wanted = Object.hasOwn(PAGES, first) ? first : "";
  const name = openable(wanted);
  const page = PAGES[name];
  const one = name === wanted && second && page.one ? decoded(second) : null;
  return { page, name, one, query: new URLSearchParams(query) };
}

/** Decode a segment of the URL; one that is not valid percent-encoding stays as it is. */
function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function signOut() {
  clearKey();
  location.reload();
}

signedOut.addEventListener("signedout", () => leaving.signal.aborted || (root.querySelector(".shell") && signOut()));
setInterval(updateAges, 5000);
start().catch((error) => root.replaceChildren(h("main", { class: "main" }, errorState(error, () => location.reload()))));
