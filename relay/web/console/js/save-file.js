/**
 * Let the browser save a file.
 */

import { h } from "./dom.js";

/** Save a `Blob` under a name. */
export function saveFile(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
