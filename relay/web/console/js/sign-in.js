/**
 * Sign in with a key for this tab, or with Microsoft Entra if App Service authentication is on.
 */

import { call } from "./api.js";
import { field } from "./dialogs.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { languageSwitch } from "./language-switch.js";
import { setPermitted } from "./permissions.js";
import { assets, clearKey, hasEntra, key, saveKey, takeKeyFromAddress } from "./session.js";

/** Return the signed-in client as `{name, role, operations}`. Shows the form in `place` until a key is accepted. */
export async function signIn(place, texts) {
  const me = await signedIn(place, texts);
  setPermitted(me.operations);
  return me;
}

async function signedIn(place, { title, hint }) {
  takeKeyFromAddress();
  if (key() || hasEntra()) {
    try {
      return await call("GET", "/v1/me");
    } catch (error) {
      if (error.status !== 401) return await showForm(place, { title, hint, problem: error.message });
      const problem = key() ? error.message : null;
      clearKey();
      return await showForm(place, { title, hint, problem });
    }
  }
  return await showForm(place, { title, hint, problem: null });
}

function showForm(place, { title, hint, problem }) {
  return new Promise((resolve) => {
    const secret = field({ name: "key", label: t("signIn.key"), hint, type: "password", required: true });
    if (problem) secret.showError(problem);
    const submit = h("button", { type: "submit", class: "primary" }, t("signIn.submit"));
    const form = h("form", { novalidate: true },
      h("span", { class: "brand" }, h("img", { src: `${assets}/icon.svg`, alt: "" }), "Relay"),
      h("h1", { tabindex: "-1" }, title),
      secret.element, submit, hasEntra() && entraLink(), languageSwitch());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      secret.clear();
      if (!secret.read()) {
        secret.showError(t("signIn.missing"));
        secret.input.focus();
        return;
      }
      submit.setAttribute("aria-busy", "true");
      saveKey(secret.read());
      try {
        resolve(await call("GET", "/v1/me"));
      } catch (error) {
        clearKey();
        secret.showError(error.message);
        secret.input.focus();
      } finally {
        submit.removeAttribute("aria-busy");
      }
    });
    place.replaceChildren(h("main", { class: "sign-in" }, form));
    secret.input.focus();
  });
}

function entraLink() {
  const back = encodeURIComponent(location.pathname + location.hash);
  return h("a", { class: "button", href: `/.auth/login/aad?post_login_redirect_uri=${back}` }, t("signIn.entra"));
}
