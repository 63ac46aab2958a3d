/**
 * Meanings of failure and hold codes, loaded once.
 */

import { get } from "./api.js";

let meanings = null;

/** Load the meaning of each code, as an object keyed by code. */
export async function loadMeanings(signal) {
  meanings ??= Object.fromEntries((await get("/v1/causes", signal)).value.map(({ code, meaning }) => [code, meaning]));
  return meanings;
}
