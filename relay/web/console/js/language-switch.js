/**
 * Buttons for the other languages, each in its own language.
 */

import { h } from "./dom.js";
import { chooseLanguage, otherLanguages } from "./i18n.js";

export function languageSwitch() {
  return otherLanguages().map(([code, name]) => h("button", { type: "button", class: "quiet", lang: code, on: { click: () => chooseLanguage(code) } }, name));
}
