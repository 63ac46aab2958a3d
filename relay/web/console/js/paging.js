/**
 * Loading lists that come in pages.
 */

import { get, localPath } from "./api.js";

/**
 * Load the first page of a list, and further pages until there are at least `minimum` rows: a refresh keeps the rows that
 * "Show more" has added. `next` is the link to the next page, or null.
 */
export async function loadRows(path, { minimum = 0, signal }) {
  let { value: rows, next_link: next = null } = await get(path, signal);
  while (next && rows.length < minimum) {
    const page = await loadRows(localPath(next), { signal });
    rows = [...rows, ...page.rows];
    next = page.next;
  }
  return { rows, next };
}
