/**
 * Calls of Relay's own API, on this origin and nowhere else.
 */

import { key } from "./session.js";

/** A call that failed: the answer's status and error, or status 0 when there was no answer. */
export class CallFailed extends Error {
  constructor({ status, code, message, details = [], retryAfter = null }) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.retryAfter = retryAfter;
  }
}

/** What is told when a key is not accepted any more. */
export const signedOut = new EventTarget();

/** The JSON of an answer; null when it has no body. `body` is sent as JSON, a `Blob` as it is. Throws `CallFailed`. */
export async function call(method, path, { body, signal } = {}) {
  const answer = await asked(method, path, { body, signal });
  return answer.status === 204 ? null : await answer.json();
}

export function get(path, signal) {
  return call("GET", path, { signal });
}

/** The bytes of an answer, to save or to show as text. */
export async function bytes(path, signal) {
  return await (await asked("GET", path, { signal })).blob();
}

/** The path and query of a link in an answer: what counts is where it leads here, whatever the relay is called outside. */
export function here(link) {
  const url = new URL(link, location.href);
  return url.pathname + url.search;
}

async function asked(method, path, { body, signal }) {
  const headers = { Accept: "application/json" };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const isBlob = body instanceof Blob;
  if (body !== undefined) headers["Content-Type"] = isBlob ? body.type : "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, body: isBlob || body === undefined ? body : JSON.stringify(body), cache: "no-store", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallFailed({ status: 0, code: "no_answer", message: "Relay does not answer." });
  }
  if (answer.ok) return answer;
  const failure = await failureOf(answer);
  if (failure.status === 401) signedOut.dispatchEvent(new Event("signedout"));
  throw failure;
}

async function failureOf(answer) {
  const retryAfter = Number(answer.headers.get("Retry-After")) || null;
  try {
    const { error } = await answer.json();
    return new CallFailed({ status: answer.status, retryAfter, code: error.code, message: error.message, details: error.details });
  } catch {
    return new CallFailed({ status: answer.status, retryAfter, code: "failed", message: `Relay answered ${answer.status}.` });
  }
}
