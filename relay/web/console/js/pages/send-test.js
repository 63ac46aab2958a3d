/**
 * Send a test message, by any route, with or without a template.
 */

import { call, get } from "../api.js";
import { copyText } from "../clipboard.js";
import { button } from "../components.js";
import { curl } from "../curl.js";
import { field, openDialog } from "../dialogs.js";
import { t } from "../i18n.js";
import { may } from "../permissions.js";
import { routeField } from "./redrive.js";

/** What was entered last, until the page is loaded again. */
const last = { from: "", to: "" };

/** Open the dialog. With a `template`, it is sent with these `variables`. */
export async function sendTest({ template = null, variables = {} } = {}) {
  const from = field({ name: "from", label: t("field.from"), value: last.from, placeholder: "Shop <orders@example.com>", hint: t("test.fromHint") });
  const to = field({ name: "to", label: t("field.to"), value: last.to, placeholder: "you@example.com", hint: t("test.toHint") });
  const route = routeField(may("ListRoutes") ? (await get("/v1/routes")).value : []);
  const subject = field({ name: "subject", label: t("field.subject"), value: t("test.subject") });
  const text = field({ name: "text", label: t("field.text"), lines: 4, value: t("test.body") });
  const content = () => (template ? { template, variables } : { subject: subject.read(), text: text.read() });
  const message = () => ({ from: from.read(), to: to.read(), ...content(), ...(route.read() && { route: route.read() }), tags: ["test"] });
  const copy = button(t("common.copyCurl"), () => copyText(curl("/v1/messages", { method: "POST", body: message() })));
  const run = async () => {
    Object.assign(last, { from: from.read(), to: to.read() });
    const { id } = await call("POST", "/v1/messages", { body: message() });
    location.hash = `#/messages/${id}`;
    return t("test.accepted");
  };
  const fields = template ? [from, to, route] : [from, to, route, subject, text];
  await openDialog({ title: template ? t("test.templateTitle", { template }) : t("test.title"), action: t("test.send"), fields, run, moreActions: [copy] });
}
