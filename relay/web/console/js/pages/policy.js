/**
 * Form for a client's policy. Errors are shown at their fields.
 */

import { CallFailed } from "../api.js";
import { field, showErrors } from "../dialogs.js";
import { h } from "../dom.js";
import { toast } from "../toasts.js";

/** Make the form of a client's policy. `save` gets the new policy and returns the message to show. */
export function policyForm({ policy }, save) {
  const lines = (name, label, hint) => field({ name: `policy.${name}`, label, hint, lines: 3, value: policy[name].join("\n") });
  const amount = (name, label, hint) => field({ name: `policy.${name}`, label, hint, type: "number", min: "1", value: policy[name] ?? "" });
  const fields = {
    senders: lines("senders", "Senders", "Allowed From addresses, one per line: *, an address, or *@example.com. Empty: the client cannot send."),
    recipients: lines("recipients", "Recipients", "Allowed recipients, in the same form."),
    redirect_to: field({ name: "policy.redirect_to", label: "Redirect to", hint: "For test environments: mail to all other recipients goes to this address instead.", value: policy.redirect_to ?? "" }),
    delivery: field({ name: "policy.delivery", label: "If the provider's reply is lost", options: [["at_least_once", "Send again (possible duplicate)"], ["at_most_once", "Do not send again (state: unknown)"]], value: policy.delivery }),
    routes: lines("routes", "Routes", "Names, one per line. Empty: all."),
    lanes: lines("lanes", "Lanes", "Names, one per line. Empty: all."),
    rate_per_minute: amount("rate_per_minute", "Messages per minute", "Empty: no limit."),
    daily_quota: amount("daily_quota", "Recipients per day", "Empty: no limit. The day starts at midnight UTC."),
    max_bytes: amount("max_bytes", "Maximum message size in bytes", "Empty: the relay's limit."),
    ip_ranges: lines("ip_ranges", "Allowed IP ranges", "CIDR blocks, one per line. Empty: any address."),
    may_bypass_suppressions: field({ name: "policy.may_bypass_suppressions", label: "Bypass suppressions", hint: "Whether its mail may ask SendGrid to send to people who unsubscribed.", options: [["", "Not allowed"], ["yes", "Allowed"]], value: policy.may_bypass_suppressions ? "yes" : "" }),
    sees: lines("sees", "Sees the messages of", "For viewers and support: names of clients, one per line. Empty: all."),
    brake: field({ name: "policy.brake", label: "Hold after too many bounces", hint: "What waits for an operator when too much of its mail bounces or is reported as spam.", options: [["bulk", "Every lane but transactional"], ["all", "Every lane"], ["off", "Nothing"]], value: policy.brake }),
    refused_attachments: lines("refused_attachments", "Refused attachments", "File names, one per line; * matches any text."),
  };
  const all = Object.values(fields);
  const others = h("p", { class: "error", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary", data: { key: "save-policy" } }, "Save policy");
  const form = h("form", { class: "inside fields", novalidate: true }, h("div", { class: "fields two" }, all.map(({ element }) => element)), h("div", { class: "field" }, others), h("div", { class: "actions" }, submit));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") return;
    submit.setAttribute("aria-busy", "true");
    try {
      toast(await save(read(fields)));
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      others.textContent = showErrors(all, error);
      form.querySelector('[aria-invalid="true"]')?.focus();
    } finally {
      submit.removeAttribute("aria-busy");
    }
  });
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, "Policy")), form);
}

function read(fields) {
  const value = {};
  for (const name of ["senders", "recipients", "routes", "lanes", "ip_ranges", "sees", "refused_attachments"]) value[name] = fields[name].items();
  for (const name of ["rate_per_minute", "daily_quota", "max_bytes"]) value[name] = fields[name].read() === "" ? null : Number(fields[name].read());
  return { ...value, redirect_to: fields.redirect_to.read() || null, delivery: fields.delivery.read(), brake: fields.brake.read(), may_bypass_suppressions: fields.may_bypass_suppressions.read() === "yes" };
}
