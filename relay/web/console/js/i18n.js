/**
 * The language of the page: its messages, and how its readers write numbers and dates.
 */

import causesJa from "./messages/causes.ja.js";
import en from "./messages/en.js";
import errorsJa from "./messages/errors.ja.js";
import ja from "./messages/ja.js";

/** The languages by code, each with its own name for itself. English texts of causes and errors come from the API. */
const LANGUAGES = { en: { name: "English", messages: en, causes: {}, errors: {} }, ja: { name: "日本語", messages: ja, causes: causesJa, errors: errorsJa } };
const CHOICE = "relay-language";

const codeOf = (tag) => tag.split("-")[0].toLowerCase();

/** The language chosen on a page, else the first of the browser's that has messages. */
export const language = [localStorage.getItem(CHOICE) ?? "", ...navigator.languages].map(codeOf).find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";

/** The browser's own variant of the language, such as `en-GB`, for dates and numbers. */
export const locale = navigator.languages.find((tag) => codeOf(tag) === language && isValid(tag)) ?? language;

/** What codes of the API mean in the language, where it has its own texts: `{name, meaning, fix}` of causes, messages of errors. */
export const { causes, errors } = LANGUAGES[language];

const { messages } = LANGUAGES[language];
const plurals = new Intl.PluralRules(locale);
const numbers = new Intl.NumberFormat(locale);

/** Some systems report tags that are no language tags, such as `en-US@posix`. */
function isValid(tag) {
  try {
    return Intl.getCanonicalLocales(tag).length > 0;
  } catch {
    return false;
  }
}

/** Return a message. `values` fill its placeholders; `count` chooses its plural form. */
export function t(key, values) {
  return pieces(key, values).join("");
}

/** Return a message as a list of children for `h`: a value can be an element. */
export function pieces(key, values = {}) {
  const message = messages[key];
  const text = typeof message === "string" ? message : (message[plurals.select(values.count)] ?? message.other);
  return text.split(/\{(\w+)\}/).map((piece, at) => (at % 2 ? shown(values[piece]) : piece));
}

/** Return a message, or `text` for what has none: a word of the API that this console does not know. */
export function messageOr(key, text) {
  return Object.hasOwn(messages, key) ? t(key) : text;
}

function shown(value) {
  return typeof value === "number" ? numbers.format(value) : value;
}

/** Return the other languages as pairs of a code and a name. */
export function otherLanguages() {
  return Object.entries(LANGUAGES).filter(([code]) => code !== language).map(([code, { name }]) => [code, name]);
}

/** Show the pages of this browser in another language. */
export function chooseLanguage(code) {
  localStorage.setItem(CHOICE, code);
  location.reload();
}

document.documentElement.lang = language;
