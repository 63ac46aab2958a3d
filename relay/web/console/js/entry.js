/**
 * The way in: a key for this tab, or Microsoft Entra where the relay's platform signs people in.
 */

import { call } from "./api.js";
import { h } from "./dom.js";
import { field } from "./dialogs.js";
import { assets, forget, hasEntra, keep, key } from "./session.js";

/** Who is signed in: `{name, role}`. Shows the form in `place` until somebody is. */
export async function enter(place, { title, hint }) {
  if (key() || hasEntra()) {
    try {
      return await call("GET", "/v1/me");
    } catch (error) {
      if (error.status !== 401) return await shown(place, { title, hint, fault: error.message });
      const fault = key() ? error.message : null;
      forget();
      return await shown(place, { title, hint, fault });
    }
  }
  return await shown(place, { title, hint, fault: null });
}

function shown(place, { title, hint, fault }) {
  return new Promise((resolve) => {
    const secret = field({ name: "key", label: "Key", hint, type: "password", required: true });
    if (fault) secret.fault(fault);
    const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
    const form = h("form", { novalidate: true },
      h("span", { class: "brand" }, h("img", { src: `${assets}/icon.svg`, alt: "" }), "Relay"),
      h("h1", { tabindex: "-1" }, title),
      secret.element, submit, hasEntra() && entra());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      secret.clear();
      if (!secret.read()) {
        secret.fault("Enter a key: it begins with relay_.");
        secret.input.focus();
        return;
      }
      submit.setAttribute("aria-busy", "true");
      keep(secret.read());
      try {
        resolve(await call("GET", "/v1/me"));
      } catch (error) {
        forget();
        secret.fault(error.message);
        secret.input.focus();
      } finally {
        submit.removeAttribute("aria-busy");
      }
    });
    place.replaceChildren(h("main", { class: "entry" }, form));
    secret.input.focus();
  });
}

function entra() {
  const back = encodeURIComponent(location.pathname + location.hash);
  return h("a", { class: "button", href: `/.auth/login/aad?post_login_redirect_uri=${back}` }, "Sign in with Microsoft");
}
