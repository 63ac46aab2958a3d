/**
 * What a client may send, as a form. Empty lists mean what the API means by them; every fault comes back to its field.
 */

import { CallFailed } from "../api.js";
import { field, showFaults } from "../dialogs.js";
import { h } from "../dom.js";
import { tell } from "../told.js";

/** The form of a client's policy. `save` gets what is to be changed, and returns what to tell. */
export function policyForm({ policy }, save) {
  const lines = (name, label, hint) => field({ name: `policy.${name}`, label, hint, lines: 3, value: policy[name].join("\n") });
  const amount = (name, label, hint) => field({ name: `policy.${name}`, label, hint, type: "number", min: "1", value: policy[name] ?? "" });
  const fields = {
    senders: lines("senders", "Senders", "From addresses, one a line: *, an address, or *@example.com."),
    recipients: lines("recipients", "Recipients", "Whom it may send to, in the same form."),
    redirect_to: field({ name: "policy.redirect_to", label: "Redirect to", hint: "Outside of production: all other recipients' mail goes here.", value: policy.redirect_to ?? "" }),
    delivery: field({ name: "policy.delivery", label: "When an answer is lost", options: [["at_least_once", "Send again: perhaps twice"], ["at_most_once", "Do not send again: unknown"]], value: policy.delivery }),
    routes: lines("routes", "Routes", "Names, one a line. Empty: all."),
    lanes: lines("lanes", "Lanes", "Names, one a line. Empty: all."),
    rate_per_minute: amount("rate_per_minute", "Messages a minute", "Empty: no limit."),
    daily_quota: amount("daily_quota", "Messages a day", "Empty: no limit. The day begins at midnight UTC."),
    max_bytes: amount("max_bytes", "Largest message, bytes", "Empty: what the relay takes."),
    ip_ranges: lines("ip_ranges", "Calls from", "CIDR blocks, one a line. Empty: anywhere."),
    refused_attachments: lines("refused_attachments", "Refused attachments", "File names, with * for any text, one a line."),
  };
  const all = Object.values(fields);
  const others = h("p", { class: "fault", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary", data: { key: "save-policy" } }, "Save policy");
  const form = h("form", { class: "inside fields", novalidate: true }, h("div", { class: "fields two" }, all.map(({ element }) => element)), h("div", { class: "field" }, others), h("div", { class: "actions" }, submit));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") return;
    submit.setAttribute("aria-busy", "true");
    try {
      tell(await save(read(fields)));
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      others.textContent = showFaults(all, error);
      form.querySelector('[aria-invalid="true"]')?.focus();
    } finally {
      submit.removeAttribute("aria-busy");
    }
  });
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, "Policy")), form);
}

function read(fields) {
  const value = {};
  for (const name of ["senders", "recipients", "routes", "lanes", "ip_ranges", "refused_attachments"]) value[name] = fields[name].items();
  for (const name of ["rate_per_minute", "daily_quota", "max_bytes"]) value[name] = fields[name].read() === "" ? null : Number(fields[name].read());
  return { ...value, redirect_to: fields.redirect_to.read() || null, delivery: fields.delivery.read() };
}
