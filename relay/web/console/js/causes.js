/**
 * What each cause means, asked for once.
 */

import { get } from "./api.js";

let known = null;

/** Meanings by code. */
export async function meaningOf(signal) {
  known ??= Object.fromEntries((await get("/v1/causes", signal)).value.map(({ code, meaning }) => [code, meaning]));
  return known;
}
