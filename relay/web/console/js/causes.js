/**
 * Failure and hold codes: their meanings and fixes, loaded once.
 */

import { get } from "./api.js";
import { h } from "./dom.js";
import { humanize } from "./format.js";
import { causes as translations, t } from "./i18n.js";

let causes = null;

/** Load the causes, as an object of `{meaning, fix}` keyed by code. */
export async function loadCauses(signal) {
  causes ??= Object.fromEntries((await get("/v1/causes", signal)).value.map(({ code, ...cause }) => [code, { ...cause, ...translations[code] }]));
  return causes;
}

/** Load the meaning of each code, as an object keyed by code. */
export async function loadMeanings(signal) {
  return Object.fromEntries(Object.entries(await loadCauses(signal)).map(([code, { meaning }]) => [code, meaning]));
}

/** Return the meaning of a code in the page's language, else `text`, the API's. */
export function meaningOf(code, text) {
  return translations[code]?.meaning ?? text;
}

/** Name a code in a sentence. */
export function codeName(code) {
  return translations[code]?.name ?? humanize(code);
}

/** Link a code to the page that explains it; one that Relay does not list, such as a provider's own, is plain text. */
export function codeLink(code, meanings, key = code) {
  const text = h("code", {}, code);
  return Object.hasOwn(meanings, code) ? h("a", { href: `#/codes/${code}`, title: t("code.explain"), data: { key: `code-${key}` } }, text) : text;
}
