/**
 * Copying to the clipboard.
 */

import { t } from "./i18n.js";

/** Copy a text and return the message to show. Browsers allow it only on HTTPS and on this machine. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return t("common.copied");
  } catch {
    return t("common.copyRefused");
  }
}
