/**
 * The landing page in the reader's language. Without scripts it stays in English.
 */

import { t } from "./i18n.js";
import { languageSwitch } from "./language-switch.js";

for (const each of document.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
document.querySelector("main").append(...languageSwitch());
