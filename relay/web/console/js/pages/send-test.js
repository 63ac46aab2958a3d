/**
 * Send a test message, by any route, with or without a template.
 */

import { call, get } from "../api.js";
import { copyText } from "../clipboard.js";
import { button } from "../components.js";
import { curl } from "../curl.js";
import { field, openDialog } from "../dialogs.js";
import { may } from "../permissions.js";
import { routeField } from "./redrive.js";

/** What was entered last, until the page is loaded again. */
const last = { from: "", to: "" };

/** Open the dialog. With a `template`, it is sent with these `variables`. */
export async function sendTest({ template = null, variables = {} } = {}) {
  const from = field({ name: "from", label: "From", value: last.from, placeholder: "Shop <orders@example.com>", hint: "An address that the route may send from." });
  const to = field({ name: "to", label: "To", value: last.to, placeholder: "you@example.com", hint: "Your own address: the message is really sent." });
  const route = routeField(may("ListRoutes") ? (await get("/v1/routes")).value : []);
  const subject = field({ name: "subject", label: "Subject", value: "Test of Relay" });
  const text = field({ name: "text", label: "Text", lines: 4, value: "This is a test message from the console of Relay." });
  const content = () => (template ? { template, variables } : { subject: subject.read(), text: text.read() });
  const message = () => ({ from: from.read(), to: to.read(), ...content(), ...(route.read() && { route: route.read() }), tags: ["test"] });
  const copy = button("Copy as curl", () => copyText(curl("/v1/messages", { method: "POST", body: message() })));
  const run = async () => {
    Object.assign(last, { from: from.read(), to: to.read() });
    const { id } = await call("POST", "/v1/messages", { body: message() });
    location.hash = `#/messages/${id}`;
    return "Test message accepted.";
  };
  const fields = template ? [from, to, route] : [from, to, route, subject, text];
  await openDialog({ title: template ? `Send ${template} to yourself` : "Send a test message", action: "Send", fields, run, moreActions: [copy] });
}
