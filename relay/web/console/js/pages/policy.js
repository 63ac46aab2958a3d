/**
 * Form for a client's policy. Errors are shown at their fields.
 */

import { CallFailed } from "../api.js";
import { field, showErrors } from "../dialogs.js";
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { toast } from "../toasts.js";

/** Make the form of a client's policy. `save` gets the new policy and returns the message to show. */
export function policyForm({ policy }, save) {
  const lines = (name, label, hint) => field({ name: `policy.${name}`, label, hint, lines: 3, value: policy[name].join("\n") });
  const amount = (name, label, hint) => field({ name: `policy.${name}`, label, hint, type: "number", min: "1", value: policy[name] ?? "" });
  const fields = {
    senders: lines("senders", t("field.senders"), t("policy.senders")),
    recipients: lines("recipients", t("policy.recipients"), t("policy.recipientsHint")),
    redirect_to: field({ name: "policy.redirect_to", label: t("policy.redirect"), hint: t("policy.redirectHint"), value: policy.redirect_to ?? "" }),
    delivery: field({ name: "policy.delivery", label: t("policy.delivery"), options: [["at_least_once", t("policy.atLeastOnce")], ["at_most_once", t("policy.atMostOnce")]], value: policy.delivery }),
    routes: lines("routes", t("policy.routes"), t("policy.namesHint")),
    lanes: lines("lanes", t("field.lanes"), t("policy.namesHint")),
    rate_per_minute: amount("rate_per_minute", t("policy.rate"), t("policy.noLimit")),
    daily_quota: amount("daily_quota", t("policy.quota"), t("policy.quotaHint")),
    max_bytes: amount("max_bytes", t("policy.maxBytes"), t("policy.maxBytesHint")),
    ip_ranges: lines("ip_ranges", t("policy.ipRanges"), t("policy.ipRangesHint")),
    may_bypass_suppressions: field({ name: "policy.may_bypass_suppressions", label: t("policy.bypass"), hint: t("policy.bypassHint"), options: [["", t("policy.notAllowed")], ["yes", t("policy.allowed")]], value: policy.may_bypass_suppressions ? "yes" : "" }),
    sees: lines("sees", t("policy.sees"), t("policy.seesHint")),
    brake: field({ name: "policy.brake", label: t("policy.brake"), hint: t("policy.brakeHint"), options: [["bulk", t("policy.brakeBulk")], ["all", t("policy.brakeAll")], ["off", t("policy.brakeOff")]], value: policy.brake }),
    refused_attachments: lines("refused_attachments", t("policy.refused"), t("policy.refusedHint")),
  };
  const all = Object.values(fields);
  const others = h("p", { class: "error", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary", data: { key: "save-policy" } }, t("policy.save"));
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
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, t("policy.title"))), form);
}

function read(fields) {
  const value = {};
  for (const name of ["senders", "recipients", "routes", "lanes", "ip_ranges", "sees", "refused_attachments"]) value[name] = fields[name].items();
  for (const name of ["rate_per_minute", "daily_quota", "max_bytes"]) value[name] = fields[name].read() === "" ? null : Number(fields[name].read());
  return { ...value, redirect_to: fields.redirect_to.read() || null, delivery: fields.delivery.read(), brake: fields.brake.read(), may_bypass_suppressions: fields.may_bypass_suppressions.read() === "yes" };
}
